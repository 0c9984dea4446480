"""Change tables that everything else uses, without keeping it waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from paybridge.archive.deadline import Deadline
from paybridge.core.errors import LockTimeout

# Between two tries whatever waited behind the first one runs.
PAUSE_SECONDS = 0.5
TRIES_MAX = 60

_Result = TypeVar("_Result")


def retry_lock(change: Callable[[], _Result], deadline: Deadline) -> _Result:
    """Make a change that gives up a lock after a moment, until it gets it. Raises LockTimeout: the next run goes on."""
    for number in range(1, TRIES_MAX + 1):
        try:
            return change()
        except LockTimeout:
            if number == TRIES_MAX or deadline.is_over():
                raise
        time.sleep(PAUSE_SECONDS)
    raise AssertionError
