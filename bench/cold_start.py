"""`python cold_start.py MODULE.FUNCTION SECONDS_MAX`: time the start of a new environment, as Lambda starts it.

Import the handler and call it with the event from standard input. Then print one JSON object: the seconds for the
import and for the first invocation, and the start of that invocation in seconds since 1970. The process lives until
standard input is closed, so that its memory can be measured. It imports as little as possible before the handler.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time


class Context:
    """The parts of Lambda's context that the functions read."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:bench"
    log_group_name = log_stream_name = "bench"
    memory_limit_in_mb = 1024

    def __init__(self, seconds_max: float) -> None:
        self._deadline = time.monotonic() + seconds_max

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left of the invocation."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main() -> None:
    """Import, invoke and report, as the module's docstring says."""
    name, seconds_max = sys.argv[1], float(sys.argv[2])
    event = json.loads(sys.stdin.readline())
    # The functions log to standard output. Here it carries the figures, so send the logs elsewhere.
    figures = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    started = time.perf_counter()
    module, _, function = name.rpartition(".")
    handler = getattr(importlib.import_module(module), function)
    imported, called_at = time.perf_counter(), time.time()
    answer = handler(event, Context(seconds_max))
    ended = time.perf_counter()
    found = {"import": imported - started, "first": ended - imported, "called_at": called_at, "answer": answer}
    print(json.dumps(found), file=figures, flush=True)
    sys.stdin.read()
    # Exit at once, as Lambda does: no connection is closed.
    os._exit(0)


if __name__ == "__main__":
    main()
