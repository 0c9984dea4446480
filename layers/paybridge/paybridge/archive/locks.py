"""Change tables that everything else uses, without keeping it waiting."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep as pause
from typing import TypeVar

from paybridge.archive.deadline import Deadline
from paybridge.core.errors import LockTimeout

# Between two tries whatever waited behind the first one runs.
PAUSE_SECONDS = 0.5
TRIES_MAX = 60

_Result = TypeVar("_Result")


def retry_lock(change: Callable[[], _Result], deadline: Deadline, tries_max: int | None = None) -> _Result:
    """Make a change that gives up a lock after a moment, until it gets it. Raises LockTimeout: the next run goes on."""
    tries_max = tries_max or TRIES_MAX
    for number in range(1, tries_max + 1):
        try:
            return change()
        except LockTimeout:
            if number == tries_max or deadline.is_over():
                raise
        pause(PAUSE_SECONDS)
    raise AssertionError
