"""One execution environment: a process group that runs one function, one invocation at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from local.lambda_host.model import InvocationResult, failure
from local.template import FunctionDefinition

_LAUNCHER = Path(__file__).with_name("launcher.py")
# What a function may see of the host's own environment: where programs and certificates are, and the fake AWS.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE")
_INHERITED_PREFIXES = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(slots=True)
class Invocation:
    """One event on its way through an environment."""

    payload: bytes
    deadline_ms: int
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_context: str | None = None
    trace_id: str | None = None
    result: asyncio.Future[InvocationResult] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Environment:
    """The host's side of one process. The Runtime API server calls `next_invocation` and `answer`."""

    def __init__(self, definition: FunctionDefinition, region: str, logs_dir: Path) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.definition = definition
        # The reason why the function could not start, as it reported it.
        self.init_error: InvocationResult | None = None
        self._region = region
        self._log_path = logs_dir / f"{definition.logical_id}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False
        self._assigned: asyncio.Future[Invocation] | None = None
        self._current: Invocation | None = None

    async def start(self, runtime_api: str) -> None:
        """Start the process; it has started up when it asks for its first invocation."""
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
            # It was given up while the process was being started, when there was nothing to kill yet.
            self.kill()

    async def watch(self) -> None:
        """Wait for the end of the process and give it to the invocation that was running."""
        assert self._process is not None
        code = await self._process.wait()
        if self._assigned is not None and not self._assigned.done():
            self._assigned.cancel()
        reason = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._finish(failure("Runtime.ExitError", f"Runtime exited with error: {reason}", self._request_id()))

    def run(self, invocation: Invocation) -> None:
        """Hand an invocation to the process, which waits for one."""
        assert self._assigned is not None
        assert self._current is None
        self._current = invocation
        self._assigned.set_result(invocation)

    def next_invocation(self) -> asyncio.Future[Invocation]:
        """What the process gets to do next. Cancelled when the process ends."""
        self._assigned = asyncio.get_running_loop().create_future()
        return self._assigned

    def answer(self, request_id: str, payload: bytes, function_error: str | None) -> bool:
        """Take the process's answer; False where it is for another invocation than the running one."""
        if request_id != self._request_id():
            return False
        self._finish(InvocationResult(payload, function_error, request_id))
        return True

    def time_out(self, invocation: Invocation) -> None:
        """End the invocation, if it is still running, and the whole environment, as Lambda does."""
        if self._current is not invocation:
            return
        message = f"Task timed out after {self.definition.timeout_seconds:.2f} seconds"
        self.log(f"{self._request_id()} {message}")
        self._finish(failure("Sandbox.Timedout", message, self._request_id()))
        self.kill()

    def kill(self) -> None:
        """End the process and whatever it started, also one that is only just being started."""
        self._killed = True
        if self._process is None or self._process.returncode is not None:
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It ended by itself a moment ago.
            return

    def log(self, line: str) -> None:
        """Write a line of the platform into the function's log."""
        with self._log_path.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}Z {line}\n")

    def _request_id(self) -> str:
        return "" if self._current is None else self._current.request_id

    def _finish(self, result: InvocationResult) -> None:
        current, self._current = self._current, None
        if current is not None and not current.result.done():
            current.result.set_result(result)

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
