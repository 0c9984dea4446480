"""One execution environment: a process group that runs one function, one invocation at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from infra.sam_template.definitions import FunctionDefinition
from local.http.messages import WireResponse, header_lines
from local.lambda_host.model import InvocationResult, failure

_LAUNCHER = Path(__file__).with_name("launcher.py")
# What a function inherits of the host's environment: where programs, certificates and the clock are, and the AWS fake.
_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "PAYBRIDGE_LOCAL_CLOCK_FILE",
)
_INHERITED_PREFIXES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(slots=True)
class Invocation:
    """One event on its way through an environment."""

    payload: bytes
    deadline_ms: int
    request_id: str = field(default_factory=lambda: new_request_id())
    client_context: str | None = None
    trace_id: str | None = None
    result: asyncio.Future[InvocationResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ExecutionEnvironment:
    """The host's side of one process. The Runtime API server calls `wait_for_invocation` and `answer`."""

    def __init__(self, definition: FunctionDefinition, region: str, logs_dir: Path) -> None:
        self.id = os.urandom(6).hex()
        self.definition = definition
        # Why the function could not start, as it reported.
        self.init_error: InvocationResult | None = None
        self._region = region
        self._log_path = logs_dir / f"{definition.logical_id}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False
        self._exit_reason = ""
        # Answers the process's request for its next invocation. None while it works on one.
        self._hand_over: Callable[[WireResponse], None] | None = None
        self._current: Invocation | None = None
        self._timer: asyncio.TimerHandle | None = None
        arn_header = ("Lambda-Runtime-Invoked-Function-Arn", definition.arn)
        self._constant_headers = header_lines([("Content-Type", "application/json"), arn_header])

    async def start(self, runtime_api: str) -> None:
        """Start the process. It is ready when it asks for its first invocation."""
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                str(_LAUNCHER),
                self.definition.handler,
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.definition.code_dir,
                env=self._variables(f"{runtime_api}/{self.id}"),
                start_new_session=True,
            )
        if self._killed:
            # It was killed while the process was being started, when there was nothing to kill yet.
            self.kill()

    async def watch(self) -> None:
        """Wait for the end of the process and fail the invocation that was running."""
        assert self._process is not None
        code = await self._process.wait()
        self._hand_over = None
        self._exit_reason = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._finish(self._exit_failure())

    def wait_for_invocation(self, hand_over: Callable[[WireResponse], None]) -> None:
        """Keep `hand_over` for the next invocation: the process asks for one."""
        self._hand_over = hand_over

    def run(self, invocation: Invocation) -> None:
        """Hand an invocation to the waiting process. End both if it takes too long."""
        assert self._current is None
        self._current = invocation
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.definition.timeout_seconds, self._time_out, invocation)
        hand_over, self._hand_over = self._hand_over, None
        if hand_over is None:
            # The process ended after the pool had chosen it.
            self._finish(self._exit_failure())
        else:
            hand_over(WireResponse(200, self._headers(invocation), invocation.payload))

    def answer(self, request_id: str, payload: bytes, function_error: str | None) -> bool:
        """Take the process's answer. Returns False if it is not for the running invocation."""
        if request_id != self._request_id():
            return False
        self._finish(InvocationResult(payload, function_error, request_id))
        return True

    def _time_out(self, invocation: Invocation) -> None:
        """Fail the invocation, if it is still running, and end the whole environment, as Lambda does."""
        if self._current is not invocation:
            return
        message = f"Task timed out after {self.definition.timeout_seconds:.2f} seconds"
        self.log(f"{self._request_id()} {message}")
        self._finish(failure("Sandbox.Timedout", message, self._request_id()))
        self.kill()

    def kill(self) -> None:
        """Kill the process and its descendants, even while it is being started."""
        self._killed = True
        if self._process is None or self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It ended a moment ago.
            return

    def log(self, line: str) -> None:
        """Write a line of the platform into the function's log."""
        with self._log_path.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}Z {line}\n")

    def _exit_failure(self) -> InvocationResult:
        return failure("Runtime.ExitError", f"Runtime exited with error: {self._exit_reason}", self._request_id())

    def _request_id(self) -> str:
        return "" if self._current is None else self._current.request_id

    def _finish(self, result: InvocationResult) -> None:
        current, self._current = self._current, None
        if self._timer is not None:
            self._timer.cancel()
        # The caller may have given up. The function ran to its end anyway.
        if current is not None and not current.result.done():
            current.result.set_result(result)

    def _headers(self, invocation: Invocation) -> bytes:
        lines = (
            f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {invocation.deadline_ms}\r\n"
        ).encode() + self._constant_headers
        others = [("Lambda-Runtime-Trace-Id", invocation.trace_id or trace_id_of(invocation))]
        if invocation.client_context:
            others.append(("Lambda-Runtime-Client-Context", invocation.client_context))
        # A caller of the Invoke API may have sent these.
        return lines + header_lines(others)

    def _variables(self, runtime_api: str) -> dict[str, str]:
        definition = self.definition
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
        }
        return {
            **inherited,
            # There is no X-Ray daemon on this machine.
            "POWERTOOLS_TRACE_DISABLED": "true",
            **definition.environment,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(definition.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": definition.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": definition.log_format,
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{definition.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{self.id}",
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_REGION": self._region,
            "LAMBDA_RUNTIME_DIR": str(_LAUNCHER.parent),
            "LAMBDA_TASK_ROOT": str(definition.code_dir),
            "PYTHONPATH": os.pathsep.join(map(str, (definition.code_dir, *definition.layer_dirs))),
            "PYTHONUNBUFFERED": "1",
            "TZ": "UTC",
            "_HANDLER": definition.handler,
        }


def new_request_id() -> str:
    """Return a random UUID, as Lambda's request ids are. `uuid.uuid4` takes four times as long."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def trace_id_of(invocation: Invocation) -> str:
    """Return an X-Ray trace header that is not sampled."""
    digits = invocation.request_id.replace("-", "")
    return f"Root=1-{invocation.deadline_ms // 1_000:08x}-{digits[:24]};Parent={digits[-16:]};Sampled=0"
