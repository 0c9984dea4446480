"""`python cold_start.py MODULE.FUNCTION SECONDS_MAX`: what Lambda does with a new environment, with a watch in hand.

Imports the handler and gives it the event on standard input, then prints one JSON object: the seconds for the import
and for the first invocation, and when that began, in seconds since 1970. It stays until standard input is closed, so
that its memory can be looked at. Imports nothing before the handler that this does not need anyway.
"""

import importlib
import json
import os
import sys
import time


class Context:
    """Lambda's context, as far as the functions look at it."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:bench"
    log_group_name = log_stream_name = "bench"
    memory_limit_in_mb = 1024

    def __init__(self, seconds_max: float) -> None:
        self._deadline = time.monotonic() + seconds_max

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds that are left of the invocation."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main() -> None:
    """See the module."""
    name, seconds_max = sys.argv[1], float(sys.argv[2])
    event = json.loads(sys.stdin.readline())
    # The functions log to standard output, which is for the figures here.
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
    # Lambda ends an environment without a word as well; there is nobody to close connections.
    os._exit(0)


if __name__ == "__main__":
    main()
