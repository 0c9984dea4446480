"""The HTTP front: what API Gateway's HTTP API is on AWS."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Self

from aiohttp import web

from local.bridge.http_events import (
    HttpRequest,
    HttpResponse,
    MalformedResponseError,
    http_event,
    http_response,
    routes_of,
)
from local.bridge.http_server import new_request_id, start_front, wire_response
from local.bridge.problems import ProblemError, problem_response
from local.lambda_host.model import InvokeError, Invoker, PayloadTooLargeError, ThrottledError
from local.lambda_host.server import read_body
from local.template import FunctionDefinition

logger = logging.getLogger(__name__)

# API Gateway's limit.
_INTEGRATION_SECONDS_MAX = 30.0
# On AWS a throttled request fails at once; here a burst waits for an environment, because a laptop has few.
QUEUE_SECONDS_MAX = 5.0


class HttpFront:
    """Serves the HttpApi events of a template on 127.0.0.1. Use as an asynchronous context manager."""

    def __init__(
        self,
        functions: Iterable[FunctionDefinition],
        invoker: Invoker,
        *,
        port: int = 0,
        queue_seconds_max: float = QUEUE_SECONDS_MAX,
    ) -> None:
        self.port = port
        self._routes = routes_of(functions)
        self._invoker = invoker
        self._queue_seconds_max = queue_seconds_max
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner, self.port = await start_front(self._handle, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        request_id = new_request_id()
        try:
            answer = await self._answer(request, request_id)
        except ProblemError as problem:
            answer = problem_response(problem, request_id)
            response = wire_response(answer, request_id)
            if problem.status == 400:
                # Where the next request begins is unknown.
                response.force_close()
            return response
        return wire_response(answer, request_id)

    async def _answer(self, request: web.BaseRequest, request_id: str) -> HttpResponse:
        try:
            body = await read_body(request)
        except web.HTTPRequestEntityTooLarge as error:
            raise ProblemError(413, "A request may have 10 MB at most.") from error
        except web.RequestPayloadError as error:
            raise ProblemError(400, "The body is not framed as HTTP/1.1 has it.") from error
        target = _target(request)
        path = target.partition("?")[0]
        for route in self._routes:
            parameters = route.matches(request.method, path)
            if parameters is not None:
                break
        else:
            raise ProblemError(404, "The API has no such route.")
        protocol = f"HTTP/{request.version.major}.{request.version.minor}"
        source_ip = request.remote or "127.0.0.1"
        wire = HttpRequest(request.method, target, request.headers.items(), body, source_ip, protocol)
        return await self._invoke(route.function.logical_id, http_event(wire, route, parameters, request_id))

    async def _invoke(self, function_name: str, event: bytes) -> HttpResponse:
        try:
            async with asyncio.timeout(_INTEGRATION_SECONDS_MAX):
                result = await self._invoker.invoke(function_name, event, wait_seconds_max=self._queue_seconds_max)
        except PayloadTooLargeError as error:
            raise ProblemError(413, "The request is larger than a function takes.") from error
        except (ThrottledError, TimeoutError) as error:
            raise ProblemError(503, "Every environment of the function is busy.") from error
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
            raise ProblemError(500, "The function's answer is no HTTP response.") from error


def _target(request: web.BaseRequest) -> str:
    """Path and query exactly as sent; a proxy's absolute form loses its scheme and host."""
    raw = request._message.path
    if raw.startswith("/"):
        return raw.partition("#")[0]
    return request.rel_url.raw_path_qs
