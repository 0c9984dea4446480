"""Keeps what is wrong with one delivery from failing the batch that it came with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from paybridge.domain.errors import LockTimeout

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
