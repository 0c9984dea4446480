"""The host's HTTP side: the Runtime API for the environments and Lambda's Invoke API for callers outside."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

import orjson

from local.http.messages import WireRequest, WireResponse, header_lines
from local.http.server import Connection, HttpServer
from local.lambda_host.environment import ExecutionEnvironment
from local.lambda_host.model import PAYLOAD_BYTES_MAX, InvalidRequestError, InvocationResult, InvokeError, failure
from local.lambda_host.pool import FunctionPool

logger = logging.getLogger(__name__)

_RUNTIME_PATH = re.compile(r"/(?P<environment>[0-9a-f]+)/2018-06-01/runtime/(?P<rest>.+)")
_INVOKE_PATH = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations")
# Above Lambda's limit, so that an answer that is a little too large is read to its end.
_BODY_BYTES_MAX = PAYLOAD_BYTES_MAX + 1024 * 1024
# awslambdaric sends up to a mebibyte about an error for X-Ray in a header.
_HEAD_BYTES_MAX = 1024 * 1024 + 10_240
_JSON_HEADER = header_lines([("content-type", "application/json")])
_ACCEPTED = WireResponse(202, _JSON_HEADER, orjson.dumps({"status": "OK"}))


class FunctionHost(Protocol):
    """What the server needs of the Lambda host."""

    async def invoke(
        self, function_name: str, payload: bytes, *, client_context: str | None = None, trace_id: str | None = None
    ) -> InvocationResult:
        """Invoke and wait for the answer. Raises InvokeError if the function was not run."""
        ...

    async def invoke_event(self, function_name: str, payload: bytes) -> None:
        """Queue an asynchronous invocation. Raises InvokeError if it was refused."""
        ...


class LambdaServer:
    """Route requests by path: `/<environment>/2018-06-01/…` from inside, `/2015-03-31/functions/…` from outside."""

    def __init__(
        self, host: FunctionHost, environments: Mapping[str, tuple[FunctionPool, ExecutionEnvironment]]
    ) -> None:
        self._host = host
        self._environments = environments
        self._invocations: set[asyncio.Task[None]] = set()
        self._server = HttpServer(self._handle, _refusal, _BODY_BYTES_MAX, _HEAD_BYTES_MAX)

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1 and return the port. The system chooses it if `port` is 0. Raises OSError."""
        return await self._server.start(port)

    async def close(self) -> None:
        await self._server.close()
        for task in self._invocations:
            task.cancel()

    def _handle(self, request: WireRequest, connection: Connection) -> None:
        # The raw path: a function's ARN arrives with encoded colons.
        path = request.target.partition("?")[0]
        if match := _RUNTIME_PATH.fullmatch(path):
            found = self._environments.get(match["environment"])
            if found is None:
                body = {"errorType": "InvalidEnvironment", "errorMessage": "This environment has ended."}
                connection.answer(_json(403, body))
            else:
                self._runtime(request, connection, *found, match["rest"])
        elif (match := _INVOKE_PATH.fullmatch(path)) and request.method == "POST":
            task = asyncio.create_task(self._invoke(request, connection, unquote(match["name"])))
            self._invocations.add(task)
            task.add_done_callback(self._invocations.discard)
        else:
            connection.answer(_json(404, {"Message": f"There is nothing at {request.method} {path}."}))

    def _runtime(
        self,
        request: WireRequest,
        connection: Connection,
        pool: FunctionPool,
        environment: ExecutionEnvironment,
        rest: str,
    ) -> None:
        if rest == "invocation/next":
            environment.wait_for_invocation(connection.answer)
            pool.ready(environment)
            return
        payload = request.body
        if payload is not None and len(payload) > PAYLOAD_BYTES_MAX:
            payload = None
        if rest == "init/error":
            environment.init_error = InvocationResult(payload or b"{}", "Unhandled")
            connection.answer(_ACCEPTED)
            return
        _, request_id, kind = (*rest.split("/"), "", "")[:3]
        connection.answer(_take_answer(environment, request_id, kind, payload))

    async def _invoke(self, request: WireRequest, connection: Connection, name: str) -> None:
        try:
            response = await self._invocation(request, name)
        except InvokeError as error:
            response = _refused(error)
        except Exception:
            logger.exception("Invoking %s failed.", name)
            response = _refusal(500)
        connection.answer(response)

    async def _invocation(self, request: WireRequest, name: str) -> WireResponse:
        """Invoke as the request says. Raises InvokeError."""
        if request.body is None:
            return _json(413, {"Type": "User", "Message": "Request must be smaller than 6291456 bytes."})
        payload = request.body or b"{}"
        try:
            orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError(f"Could not parse request body into json: {error}") from error
        headers = dict(request.headers())
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        if kind == "Event":
            await self._host.invoke_event(name, payload)
            return WireResponse(202)
        if kind != "RequestResponse":
            raise InvalidRequestError(f"The invocation type {kind} is not offered here.")
        result = await self._host.invoke(
            name,
            payload,
            client_context=headers.get("x-amz-client-context"),
            trace_id=headers.get("x-amzn-trace-id"),
        )
        lines = [("X-Amz-Executed-Version", "$LATEST"), ("x-amzn-RequestId", result.request_id)]
        if result.function_error:
            lines.append(("X-Amz-Function-Error", result.function_error))
        return WireResponse(200, header_lines(lines) + _JSON_HEADER, result.payload)


def _take_answer(environment: ExecutionEnvironment, request_id: str, kind: str, payload: bytes | None) -> WireResponse:
    """Pass a process's answer to its invocation. `payload` is None if it is larger than Lambda accepts."""
    if kind not in {"response", "error"}:
        return _json(404, {"errorType": "NotFound", "errorMessage": "The Runtime API has no such path."})
    function_error = "Unhandled" if kind == "error" else None
    if payload is None:
        message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
        too_large = failure("Function.ResponseSizeTooLarge", message, request_id)
        payload, function_error = too_large.payload, too_large.function_error
    if not environment.answer(request_id, payload, function_error):
        return _json(400, {"errorType": "InvalidRequestID", "errorMessage": "This invocation is not running."})
    return _ACCEPTED


def _refused(error: InvokeError) -> WireResponse:
    body = {"Type": "User", "Message": str(error), "message": str(error)}
    return _json(error.status, body, header_lines([("x-amzn-ErrorType", error.error_type)]))


def _refusal(status: int) -> WireResponse:
    return _json(status, {"Type": "User" if status < 500 else "Service", "Message": "The request cannot be handled."})


def _json(status: int, body: Mapping[str, str], headers: bytes = b"") -> WireResponse:
    return WireResponse(status, headers + _JSON_HEADER, orjson.dumps(body))
