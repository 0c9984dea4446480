"""Stop one bad item or one lock conflict from failing a whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from paybridge.core.errors import ConstraintViolated, IllegalTransition, LockTimeout, PaybridgeError, QueryFailed

Item = TypeVar("Item")
Result = TypeVar("Result")

# SQLSTATE classes that blame the data: data exceptions, and limits that a value exceeds.
_DATA_CLASSES = ("22", "54")


def run_isolating_bad_items(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    on_bad_item: Callable[[Item, PaybridgeError], None],
) -> list[Result]:
    """Run `work` for all items at once; if an item is refused, run it for each item alone.

    The database refuses data, and the state machine a transition. Return the results: one for all items, or one for
    each. Items refused even alone go to `on_bad_item`. A lock conflict is retried once. The work must be one
    transaction, so that a refusal leaves nothing behind.

    Raises LockTimeout after the retry. Other errors propagate: they are not about one item, so every item would fail.
    """
    try:
        try:
            return [work(items)]
        except LockTimeout:
            # By now the lock holder has finished, or the deadlock has been broken.
            return [work(items)]
    except (QueryFailed, ConstraintViolated, IllegalTransition) as error:
        if isinstance(error, QueryFailed) and not error.sqlstate.startswith(_DATA_CLASSES):
            raise
        if len(items) == 1:
            on_bad_item(items[0], error)
            return []
    return [result for item in items for result in run_isolating_bad_items(work, [item], on_bad_item)]
