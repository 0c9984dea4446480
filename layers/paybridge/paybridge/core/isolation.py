"""Stop one bad item, or one locked row, from failing the other items of its batch.

An exception of one item is that item's alone, whatever its type: refused data, a broken invariant, a defect of ours.
Only what is about no item at all propagates: the database, the broker or the secrets are away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from paybridge.core.errors import LockTimeout, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

# How long to look for the items whose rows are locked. By then a batch with a few of them has been done, and a batch
# whose table is locked has not.
LOCKS_SECONDS_MAX = 8.0
# How long to put off an item whose row another transaction holds. An operator holds it for seconds to minutes.
LOCKED_RETRY_SECONDS = 3.0


def run_each_item(
    work: Callable[[Item], Result], items: Iterable[Item], on_bad_item: Callable[[Item, Exception], None]
) -> list[Result]:
    """Run `work` for each item and return the results; pass an item that fails to `on_bad_item` with its error.

    Raises Unavailable: it is about no item, so every item would fail.
    """
    results = []
    for item in items:
        try:
            results.append(work(item))
        except Exception as error:  # noqa: BLE001 - one item, whatever is wrong with it, never fails the others
            _ensure_about_item(error)
            on_bad_item(item, error)
    return results


def run_isolating_bad_items(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    on_bad_item: Callable[[Item, Exception], None],
    now_seconds: Callable[[], float] = time.monotonic,
) -> list[Result]:
    """Run `work` for all items at once; if it fails, run it for each half, and so on down to the items that fail.

    The work must be one transaction, so that a failure leaves nothing behind. Return the results: one for all items,
    or one for each part of them. An item that fails alone goes to `on_bad_item` with its error. That is a LockTimeout
    if another transaction holds a row of it.

    Raises Unavailable: it is about no item. Raises LockTimeout if not one of several items could be done within
    LOCKS_SECONDS_MAX: then a whole table is locked.
    """
    return _Isolation(work, on_bad_item, now_seconds).run(items)


class _Isolation(Generic[Item, Result]):
    """One run: what was done, and until when to look for locked rows."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Result],
        on_bad_item: Callable[[Item, Exception], None],
        now_seconds: Callable[[], float],
    ) -> None:
        self._work = work
        self._on_bad_item = on_bad_item
        self._now_seconds = now_seconds
        self._give_up_at = now_seconds() + LOCKS_SECONDS_MAX
        self._locked: list[tuple[Item, LockTimeout]] = []
        self._results: list[Result] = []

    def run(self, items: Sequence[Item]) -> list[Result]:
        self._run(items)
        if len(items) > 1 and len(self._locked) == len(items):
            raise self._locked[0][1]
        for item, error in self._locked:
            self._on_bad_item(item, error)
        return self._results

    def _run(self, items: Sequence[Item]) -> None:
        try:
            self._results.append(self._work(items))
        except Exception as error:  # noqa: BLE001 - one item, whatever is wrong with it, never fails the others
            _ensure_about_item(error)
            if isinstance(error, LockTimeout) and (len(items) == 1 or self._now_seconds() > self._give_up_at):
                self._locked += [(item, error) for item in items]
            elif len(items) == 1:
                self._on_bad_item(items[0], error)
            else:
                middle = len(items) // 2
                self._run(items[:middle])
                self._run(items[middle:])


def _ensure_about_item(error: Exception) -> None:
    """Raise the error again if it is about no item."""
    if isinstance(error, Unavailable) and not isinstance(error, LockTimeout):
        raise error
