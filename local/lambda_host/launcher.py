"""The first code of every environment: run a handler under AWS's awslambdaric, or under `worker.py` without it.

It runs as a script with the function's sys.path, so it imports nothing of the project except two files by their paths.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_CLOCK = Path(__file__).parents[1] / "clock" / "offset.py"


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the host dies, even by SIGKILL.

    Linux only. Elsewhere the process ends when it no longer reaches the Runtime API.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        # The host died before the kernel was asked.
        os._exit(1)


def run_awslambdaric(handler: str) -> None:
    """Run AWS's own runtime client.

    Its C part joins address and path, so a path in the address identifies the environment. Its report of a failed
    start uses http.client, which needs the two separately.
    """
    from awslambdaric import bootstrap
    from awslambdaric.lambda_config import LambdaConfigProvider
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

    class PrefixedRuntimeClient(LambdaRuntimeClient):  # type: ignore[misc, unused-ignore]
        def call_rapid(self, http_method: str, endpoint: str, *arguments: Any, **named: Any) -> None:
            host, _, prefix = self.lambda_runtime_address.partition("/")
            LambdaRuntimeClient(host).call_rapid(http_method, f"/{prefix}{endpoint}", *arguments, **named)

    config = LambdaConfigProvider([sys.argv[0], handler])
    bootstrap.run(config.handler, PrefixedRuntimeClient(config.api_address, config.use_thread_polling))


def main() -> None:
    """Run the handler in the first argument. The second is the host's process id."""
    handler, parent_pid = sys.argv[1], int(sys.argv[2])
    end_with_parent(parent_pid)
    if os.environ.get("PAYBRIDGE_LOCAL_CLOCK_FILE"):
        runpy.run_path(str(_CLOCK))["keep_stack_time"](os.environ)
    pure_python = os.environ.pop("PAYBRIDGE_LOCAL_PURE_PYTHON_WORKER", "") == "1"
    if not pure_python and importlib.util.find_spec("awslambdaric") and importlib.util.find_spec("runtime_client"):
        run_awslambdaric(handler)
    else:
        runpy.run_path(str(Path(__file__).with_name("worker.py")))["run"](handler)


if __name__ == "__main__":
    main()
