"""The outermost layer of the app: correlation id, log line and unexpected errors."""

from __future__ import annotations

import logging
import time
from typing import Any

from aws_lambda_powertools import Logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import Authenticator
from api.callers import limit_headers
from api.context import CORRELATION_HEADER, SCOPE_KEY, RequestContext, choose_correlation_id
from api.errors import to_problem
from api.problems import problem_response
from paybridge.observability.metrics import CountedLine, Metric
from paybridge.observability.stack import stack_frames
from paybridge.wiring.api import ApiServices


class RequestEdge:
    """Give every request a context and every response an X-Correlation-Id, and log one line for each request.

    HEAD is answered like GET, without the body. This is plain ASGI because Starlette's BaseHTTPMiddleware would start a
    task for every request.
    """

    def __init__(self, app: ASGIApp, services: ApiServices, authenticator: Authenticator, logger: Logger) -> None:
        self._app = app
        self._services = services
        self._authenticator = authenticator
        self._logger = logger
        self._accepted = CountedLine(services.environment_name, Metric.PAYMENTS_ACCEPTED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request. Ignore other scopes: there is no lifespan to serve."""
        if scope["type"] != "http":
            return
        started_at = time.perf_counter()
        correlation_id = choose_correlation_id(scope["headers"], self._services.ids)
        context = RequestContext(self._services, self._authenticator, correlation_id)
        scope[SCOPE_KEY] = context
        self._logger.set_correlation_id(correlation_id)
        method = _take_method(scope)
        self._complete_path(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((CORRELATION_HEADER, correlation_id.encode("ascii")))
                if context.limited is not None:
                    message["headers"] += _encoded(limit_headers(context.limited))
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 -- the edge of the function: every unexpected error becomes a 500.
            self._log_defect(error)
            if status == 0:
                await problem_response(to_problem(error), correlation_id)(scope, receive, send_with_id)
        self._log_request(scope, method, status, started_at, context.has_accepted)

    def _complete_path(self, scope: Scope) -> None:
        # Starlette takes the root path off, whether or not the gateway has left it there.
        root_path = self._services.root_path
        scope["root_path"] = root_path
        if scope["path"] == root_path:
            scope["path"] += "/"

    def _log_request(self, scope: Scope, method: str, status: int, started_at: float, has_accepted: bool) -> None:
        # Log the route's template and not the path, which holds whatever the caller put there.
        route = getattr(scope.get("route"), "path", "unmatched")
        duration_ms = round((time.perf_counter() - started_at) * 1000, 2)
        said: dict[str, Any] = {"method": method, "route": route, "status": status, "duration_ms": duration_ms}
        if has_accepted:
            # The line that is written anyway also counts the payment. It must not be dropped for its level.
            level = max(self._logger.log_level, logging.INFO)
            logging.getLogger(self._logger.name).log(level, "request", extra={**said, **self._accepted.members()})
        else:
            self._logger.info("request", **said)

    def _log_defect(self, error: Exception) -> None:
        self._logger.error("defect", error_type=type(error).__name__, stack=stack_frames(error))


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _take_method(scope: Scope) -> str:
    """Return the method of the request, and route HEAD as GET."""
    method: str = scope["method"]
    if method == "HEAD":
        scope["method"] = "GET"
    return method
