"""Keeping one bad item, or one moment's bad luck, from taking a batch along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from paybridge.core.errors import ConstraintViolated, LockTimeout, PaybridgeError, QueryFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

# SQLSTATE classes that speak of the data: data exceptions, and limits that a value exceeds.
_DATA_CLASSES = ("22", "54")


def isolate(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], on_bad: Callable[[Item, PaybridgeError], None]
) -> list[Result]:
    """Does the work for all items at once; if the database refuses what is in them, for each item by itself.

    Returns the results, one for the whole or one for each item, and tells `on_bad` of the items that were refused even
    alone. The work must be one transaction, so that a refusal leaves nothing behind. Every other error goes through:
    a fault of the database or of the statement is no item's, and would be every item's.
    """
    try:
        return [work(items)]
    except (QueryFailed, ConstraintViolated) as error:
        if isinstance(error, QueryFailed) and not error.sqlstate.startswith(_DATA_CLASSES):
            raise
        if len(items) == 1:
            on_bad(items[0], error)
            return []
    return [result for item in items for result in isolate(work, [item], on_bad)]


def again_after_lock(work: Callable[[Sequence[Item]], Result]) -> Callable[[Sequence[Item]], Result]:
    """The same work, done once more when it meets a lock.

    Whoever held the lock is done by then; of two that waited for each other one is. The work must be one transaction.
    """

    def twice(items: Sequence[Item]) -> Result:
        try:
            return work(items)
        except LockTimeout:
            return work(items)

    return twice
