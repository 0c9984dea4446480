"""The results of an invocation, and the errors of one that is refused before the function runs.

InvokeError
├── FunctionNotFoundError    404 ResourceNotFoundException
├── InvalidRequestError      400 InvalidRequestContentException
├── PayloadTooLargeError     413 RequestEntityTooLargeException
├── ThrottledError           429 TooManyRequestsException
└── EndpointError            502 the Lambda endpoint is down or does not answer as Lambda does
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import orjson

from infra.sam_template.definitions import RetryPolicy

# Lambda's limit of a synchronous request and of its response.
PAYLOAD_BYTES_MAX = 6 * 1024 * 1024


class InvokeError(Exception):
    """The invocation was refused. `status` and `error_type` are those of Lambda's Invoke API."""

    status = 500
    error_type = "ServiceException"


class FunctionNotFoundError(InvokeError):
    """No function has this name."""

    status = 404
    error_type = "ResourceNotFoundException"


class InvalidRequestError(InvokeError):
    """The payload is not JSON, or the invocation type is unknown."""

    status = 400
    error_type = "InvalidRequestContentException"


class PayloadTooLargeError(InvokeError):
    """The payload is larger than Lambda accepts."""

    status = 413
    error_type = "RequestEntityTooLargeException"


class ThrottledError(InvokeError):
    """The function is at its concurrency limit."""

    status = 429
    error_type = "TooManyRequestsException"


class EndpointError(InvokeError):
    """The Lambda endpoint is down or does not answer as Lambda does."""

    status = 502
    error_type = "EndpointError"


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """The answer of a function: JSON bytes, and `function_error` ("Unhandled") if the function failed."""

    payload: bytes
    function_error: str | None = None
    request_id: str = ""


class Invoker(Protocol):
    """What can invoke functions: the host of this process or a Lambda endpoint by URL."""

    async def invoke(self, function_name: str, payload: bytes, *, wait_seconds_max: float = 0.0) -> InvocationResult:
        """Invoke and wait for the answer. At the concurrency limit wait up to `wait_seconds_max`.

        Raises InvokeError if the function was not run.
        """
        ...

    async def invoke_event(self, function_name: str, payload: bytes, retry_policy: RetryPolicy | None = None) -> None:
        """Queue an asynchronous invocation. Raises InvokeError if it was refused."""
        ...


def failure(error_type: str, message: str, request_id: str = "") -> InvocationResult:
    """Return a function error as Lambda's sandbox reports it."""
    body = {"errorType": error_type, "errorMessage": f"RequestId: {request_id} Error: {message}"}
    return InvocationResult(orjson.dumps(body), "Unhandled", request_id)
