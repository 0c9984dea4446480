"""Keeping one bad item from taking its batch along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from paybridge.domain.errors import ConstraintViolated, PaybridgeError, QueryFailed

Item = TypeVar("Item")
Result = TypeVar("Result")


def isolate(
    work: Callable[[Sequence[Item]], Result], items: Sequence[Item], on_bad: Callable[[Item, PaybridgeError], None]
) -> list[Result]:
    """Does the work for all items at once; if the database refuses what is in them, for each item by itself.

    Returns the results, one for the whole or one for each item, and tells `on_bad` of the items that were refused even
    alone. The work must be one transaction, so that a refusal leaves nothing behind. Every other error goes through.
    """
    try:
        return [work(items)]
    except (QueryFailed, ConstraintViolated) as error:
        if len(items) == 1:
            on_bad(items[0], error)
            return []
    return [result for item in items for result in isolate(work, [item], on_bad)]
