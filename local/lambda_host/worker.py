"""A Lambda runtime in pure Python, for machines that awslambdaric has no wheel for.

It speaks the Runtime API as awslambdaric does, with the same shapes of errors. It uses only the standard library,
because it runs with the function's sys.path.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

_VERSION = "2018-06-01"
Handler = Callable[[Any, "Context"], Any]


class Context:
    """The second argument of a handler, with the attributes that Python functions read."""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        environ = os.environ
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = json.loads(headers.get("Lambda-Runtime-Client-Context") or "null")
        self.identity = None
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - int(time.time() * 1_000))


class RuntimeApi:
    """A kept-alive connection to the Runtime API, whose address may have a path."""

    def __init__(self, address: str) -> None:
        host, _, prefix = address.partition("/")
        self._connection = http.client.HTTPConnection(host)
        self._prefix = f"/{prefix}" if prefix else ""

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[bytes, http.client.HTTPMessage]:
        """Call the Runtime API. Raises OSError or http.client.HTTPException when it is gone."""
        self._connection.request(method, f"{self._prefix}/{_VERSION}/runtime/{path}", body, headers or {})
        response = self._connection.getresponse()
        return response.read(), response.headers


def run(handler: str) -> None:
    """Serve invocations until the Runtime API is gone."""
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        function = load(handler)
    except Exception as error:  # noqa: BLE001
        # Any exception at import is reported as the function's failure to start.
        _report(api, "init/error", error)
        sys.exit(1)
    while True:
        try:
            event, headers = api.call("GET", "invocation/next")
        except (OSError, http.client.HTTPException):
            return
        _serve(api, function, event, headers)


def load(handler: str) -> Handler:
    """Import `module.function`. Raises whatever the import raises."""
    module_name, _, function_name = handler.rpartition(".")
    function: Handler = getattr(importlib.import_module(module_name.replace("/", ".")), function_name)
    return function


def _serve(api: RuntimeApi, function: Handler, event: bytes, headers: http.client.HTTPMessage) -> None:
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    os.environ["_X_AMZN_TRACE_ID"] = headers.get("Lambda-Runtime-Trace-Id", "")
    try:
        answer = json.dumps(function(json.loads(event), Context(headers))).encode()
    except Exception as error:  # noqa: BLE001
        # As in Lambda, any exception of a handler is its answer.
        _report(api, f"invocation/{request_id}/error", error)
        return
    api.call("POST", f"invocation/{request_id}/response", answer, {"Content-Type": "application/json"})


def _report(api: RuntimeApi, path: str, error: Exception) -> None:
    traceback.print_exception(error)
    error_type = "Runtime.ImportModuleError" if isinstance(error, ImportError) else type(error).__name__
    body = {
        "errorMessage": str(error),
        "errorType": error_type,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }
    api.call("POST", path, json.dumps(body).encode(), {"Lambda-Runtime-Function-Error-Type": error_type})
