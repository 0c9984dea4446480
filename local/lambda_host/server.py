"""The host's HTTP side: the Runtime API for the environments and Lambda's Invoke API for everybody else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from local.lambda_host.environment import Environment, Invocation
from local.lambda_host.model import PAYLOAD_BYTES_MAX, InvalidRequestError, InvocationResult, InvokeError, failure
from local.lambda_host.pool import FunctionPool
from local.loopback import listen

if TYPE_CHECKING:
    from local.lambda_host.host import LambdaHost

HttpHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_RUNTIME_PATH = re.compile(r"/(?P<environment>[0-9a-f]+)/2018-06-01/runtime/(?P<rest>.+)")
_INVOKE_PATH = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations")
# A connection of an environment or of a pooling client stays open between requests.
_KEEP_ALIVE_SECONDS = 300.0
_OK = orjson.dumps({"status": "OK"})


async def start_server(handler: HttpHandler, port: int, body_bytes_max: int) -> tuple[web.ServerRunner, int]:
    """Listen on 127.0.0.1 without router, middlewares and access log, which would cost more than the work itself.

    Returns the runner and the port, which was chosen by the system where 0 was asked for. Raises OSError.
    """
    loop = asyncio.get_running_loop()
    request = partial(_request, loop, body_bytes_max)
    # Handlers outlive their client: an invocation runs to its end even when nobody waits for the answer.
    server = web.Server(handler, request_factory=request, access_log=None, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    return await listen(server, port)


def _request(
    loop: asyncio.AbstractEventLoop,
    body_bytes_max: int,
    message: Any,
    payload: Any,
    protocol: Any,
    writer: Any,
    task: Any,
) -> web.BaseRequest:
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=body_bytes_max)


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body. Raises web.HTTPRequestEntityTooLarge."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        # The low-level server leaves this answer, which curl waits a second for, to its handler.
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    return await request.read() if request.body_exists else b""


class LambdaServer:
    """Routes requests by path: `/<environment>/2018-06-01/…` from inside, `/2015-03-31/functions/…` from outside."""

    def __init__(self, host: LambdaHost, environments: Mapping[str, tuple[FunctionPool, Environment]]) -> None:
        self._host = host
        self._environments = environments

    async def handle(self, request: web.BaseRequest) -> web.Response:
        # The raw path: a function's ARN arrives with encoded colons.
        path = request.path_qs.partition("?")[0]
        if match := _RUNTIME_PATH.fullmatch(path):
            found = self._environments.get(match["environment"])
            if found is None:
                return _json(403, {"errorType": "InvalidEnvironment", "errorMessage": "This environment has ended."})
            return await self._runtime(request, *found, match["rest"])
        if (match := _INVOKE_PATH.fullmatch(path)) and request.method == "POST":
            try:
                return await self._invoke(request, unquote(match["name"]))
            except InvokeError as error:
                return _refused(error)
            except web.HTTPRequestEntityTooLarge:
                return _json(413, {"Type": "User", "Message": "Request must be smaller than 6291456 bytes."})
        return _json(404, {"Message": f"There is nothing at {request.method} {path}."})

    async def _runtime(
        self, request: web.BaseRequest, pool: FunctionPool, environment: Environment, rest: str
    ) -> web.Response:
        if rest == "invocation/next":
            assigned = environment.next_invocation()
            pool.ready(environment)
            return _invocation(environment, await assigned)
        payload = await self._runtime_body(request)
        if rest == "init/error":
            environment.init_error = InvocationResult(payload or b"{}", "Unhandled")
            return web.Response(status=202, body=_OK, content_type="application/json")
        _, request_id, kind = (*rest.split("/"), "", "")[:3]
        return self._answer(environment, request_id, kind, payload)

    async def _runtime_body(self, request: web.BaseRequest) -> bytes | None:
        """The body, or None where it is larger than Lambda lets a function answer."""
        try:
            payload = await read_body(request)
        except web.HTTPRequestEntityTooLarge:
            return None
        return payload if len(payload) <= PAYLOAD_BYTES_MAX else None

    def _answer(self, environment: Environment, request_id: str, kind: str, payload: bytes | None) -> web.Response:
        if kind not in {"response", "error"}:
            return _json(404, {"errorType": "NotFound", "errorMessage": "The Runtime API has no such path."})
        function_error = "Unhandled" if kind == "error" else None
        if payload is None:
            message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
            too_large = failure("Function.ResponseSizeTooLarge", message, request_id)
            payload, function_error = too_large.payload, too_large.function_error
        if not environment.answer(request_id, payload, function_error):
            return _json(400, {"errorType": "InvalidRequestID", "errorMessage": "This invocation is not running."})
        return web.Response(status=202, body=_OK, content_type="application/json")

    async def _invoke(self, request: web.BaseRequest, name: str) -> web.Response:
        payload = await read_body(request) or b"{}"
        try:
            orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError(f"Could not parse request body into json: {error}") from error
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "Event":
            await self._host.invoke_event(name, payload)
            return web.Response(status=202)
        if kind != "RequestResponse":
            raise InvalidRequestError(f"The invocation type {kind} is not offered here.")
        result = await self._host.invoke(
            name,
            payload,
            client_context=request.headers.get("X-Amz-Client-Context"),
            trace_id=request.headers.get("X-Amzn-Trace-Id"),
        )
        headers = {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": result.request_id}
        if result.function_error:
            headers["X-Amz-Function-Error"] = result.function_error
        return web.Response(body=result.payload, headers=headers, content_type="application/json")


def _invocation(environment: Environment, invocation: Invocation) -> web.Response:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
        "Lambda-Runtime-Invoked-Function-Arn": environment.definition.arn,
        "Lambda-Runtime-Trace-Id": invocation.trace_id or trace_id_of(invocation.request_id, invocation.deadline_ms),
    }
    if invocation.client_context:
        headers["Lambda-Runtime-Client-Context"] = invocation.client_context
    return web.Response(body=invocation.payload, headers=headers, content_type="application/json")


def trace_id_of(request_id: str, deadline_ms: int) -> str:
    """An X-Ray trace header that is not sampled."""
    digits = request_id.replace("-", "")
    return f"Root=1-{deadline_ms // 1_000:08x}-{digits[:24]};Parent={digits[-16:]};Sampled=0"


def _refused(error: InvokeError) -> web.Response:
    body = {"Type": "User", "Message": str(error), "message": str(error)}
    return _json(error.status, body, {"x-amzn-ErrorType": error.error_type})


def _json(status: int, body: Mapping[str, str], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), headers=headers, content_type="application/json")
