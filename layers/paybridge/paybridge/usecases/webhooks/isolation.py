"""Keeps what is wrong with one delivery from failing the batch that it came with."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

from paybridge.domain.errors import LockTimeout

FRAMES_MAX = 5

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def again_after_lock(work: Callable[[Sequence[_Item]], _Result]) -> Callable[[Sequence[_Item]], _Result]:
    """The same work, done once more when it meets a lock.

    Whoever held the lock is done by then; of two that waited for each other one is. The work must be one transaction.
    """

    def twice(items: Sequence[_Item]) -> _Result:
        try:
            return work(items)
        except LockTimeout:
            return work(items)

    return twice


def frames_of(error: BaseException) -> list[str]:
    """Where the error came from, without messages and source: these repeat values that are nobody's business."""
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES_MAX:]
    return [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in frames]
