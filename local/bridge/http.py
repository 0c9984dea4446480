"""The HTTP front, in place of API Gateway's HTTP API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Self

from infra.sam_template.definitions import FunctionDefinition
from local.bridge.backlog import Backlog
from local.bridge.http_events import (
    HttpRequest,
    HttpResponse,
    MalformedResponseError,
    http_event,
    http_response,
    new_request_id,
    routes,
)
from local.bridge.problems import ProblemError, problem_response
from local.http.messages import WireRequest, WireResponse
from local.http.server import HEAD_BYTES_MAX, Connection, HttpServer
from local.lambda_host.model import InvokeError, Invoker, PayloadTooLargeError, ThrottledError

logger = logging.getLogger(__name__)

# API Gateway's limits.
_BODY_BYTES_MAX = 10 * 1024 * 1024
_INTEGRATION_SECONDS_MAX = 30.0
# On AWS a throttled request fails at once. Here a burst waits for an environment, because a laptop has few. Requests
# beyond what can be served in this time are refused at once.
QUEUE_SECONDS_MAX = 5.0
_REFUSALS = {
    400: ProblemError(400, "The request is not HTTP/1.1."),
    431: ProblemError(431, f"The request line and the headers may have {HEAD_BYTES_MAX} bytes at most."),
    500: ProblemError(500, "The front failed."),
}


# An answer of the front itself, to a request with this body.
OwnRoute = Callable[[bytes], Awaitable[HttpResponse]]


class HttpFront:
    """Serve the HttpApi events of a template on 127.0.0.1. Use it as an asynchronous context manager."""

    def __init__(
        self,
        functions: Iterable[FunctionDefinition],
        invoker: Invoker,
        *,
        port: int = 0,
        queue_seconds_max: float = QUEUE_SECONDS_MAX,
        own_routes: Mapping[tuple[str, str], OwnRoute] | None = None,
    ) -> None:
        self.port = port
        self._routes = routes(functions)
        self._invoker = invoker
        self._own_routes = own_routes or {}
        self._queue_seconds_max = queue_seconds_max
        self._backlog = Backlog(queue_seconds_max)
        self._server = HttpServer(self._handle, _refusal, _BODY_BYTES_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.port = await self._server.start(self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()
        for task in self._tasks:
            task.cancel()

    def _handle(self, request: WireRequest, connection: Connection) -> None:
        # Requests outlive their client: an invocation runs to its end even if the client has gone.
        task = asyncio.create_task(self._serve(request, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: WireRequest, connection: Connection) -> None:
        request_id = new_request_id()
        try:
            answer = await self._answer(request, connection.client_ip, request_id)
        except ProblemError as problem:
            answer = problem_response(problem, request_id)
        except Exception:
            logger.exception("The front failed.")
            answer = problem_response(_REFUSALS[500], request_id)
        connection.answer(_wire_response(answer, request_id))

    async def _answer(self, request: WireRequest, client_ip: str, request_id: str) -> HttpResponse:
        if request.body is None:
            raise ProblemError(413, "A request may have 10 MB at most.")
        path = request.target.partition("?")[0]
        if own := self._own_routes.get((request.method, path)):
            return await own(bytes(request.body))
        for route in self._routes:
            parameters = route.matches(request.method, path)
            if parameters is not None:
                break
        else:
            raise ProblemError(404, "The API has no such route.")
        protocol = f"HTTP/{request.version}"
        wire = HttpRequest(request.method, request.target, request.headers(), request.body, client_ip, protocol)
        return await self._invoke(route.function.logical_id, http_event(wire, route, parameters, request_id))

    async def _invoke(self, function_name: str, event: bytes) -> HttpResponse:
        if not self._backlog.enter():
            raise self._busy()
        answered = False
        try:
            response = await self._invoke_now(function_name, event)
            answered = True
            return response
        finally:
            self._backlog.leave(answered=answered)

    def _busy(self) -> ProblemError:
        detail = "Every environment of the function is busy."
        return ProblemError(503, detail, retry_after_seconds=self._backlog.retry_after_seconds())

    async def _invoke_now(self, function_name: str, event: bytes) -> HttpResponse:
        try:
            async with asyncio.timeout(_INTEGRATION_SECONDS_MAX):
                result = await self._invoker.invoke(function_name, event, wait_seconds_max=self._queue_seconds_max)
        except PayloadTooLargeError as error:
            raise ProblemError(413, "The request is larger than a function takes.") from error
        except (ThrottledError, TimeoutError) as error:
            raise self._busy() from error
        except InvokeError as error:
            logger.warning("%s cannot be invoked: %s", function_name, error)
            raise ProblemError(500, "The function cannot be invoked.") from error
        if result.function_error:
            logger.error("%s failed: %s", function_name, result.payload.decode(errors="replace")[:500])
            raise ProblemError(500, "The function failed.")
        try:
            return http_response(result.payload)
        except MalformedResponseError as error:
            logger.warning("%s: %s", function_name, error)
            raise ProblemError(500, "The function's answer is not an HTTP response.") from error


def _wire_response(answer: HttpResponse, request_id: str) -> WireResponse:
    """Return the answer as it is sent, with API Gateway's request id."""
    lines = b"%sapigw-requestid: %s\r\n" % (answer.headers, request_id.encode())
    return WireResponse(answer.status, lines, answer.body)


def _refusal(status: int) -> WireResponse:
    request_id = new_request_id()
    return _wire_response(problem_response(_REFUSALS[status], request_id), request_id)
