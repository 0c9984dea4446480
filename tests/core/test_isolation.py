"""A bad item or a locked one fails alone. Only what is about no item at all propagates."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence

import pytest

from paybridge.core.errors import (
    BrokerUnavailable,
    ConstraintViolated,
    DatabaseUnavailable,
    IllegalTransition,
    InvalidInput,
    LockTimeout,
    QueryFailed,
    SecretUnavailable,
)
from paybridge.core.isolation import LOCKS_SECONDS_MAX, run_each_item, run_isolating_bad_items

ERRORS_OF_ITEMS = [
    QueryFailed("22P05", "NUL"),
    QueryFailed("42703", "no such column"),
    ConstraintViolated("positive", "no"),
    IllegalTransition("no"),
    InvalidInput("currency_unsupported", "no"),
    ValueError("no"),
    KeyError("no"),
    TypeError("no"),
    RecursionError("no"),
    decimal.InvalidOperation("no"),
    UnicodeEncodeError("utf-8", "x", 0, 1, "no"),
    ZeroDivisionError("no"),
    AssertionError("no"),
    MemoryError("no"),
    TimeoutError("no"),
    OSError("no"),
]
ERRORS_OF_ALL = [DatabaseUnavailable("down"), BrokerUnavailable("down"), SecretUnavailable("down")]

Bad = list[tuple[int, Exception]]


def failing(errors: dict[int, Exception]) -> Callable[[Sequence[int]], list[int]]:
    """Work that raises the error of the first item that has one."""

    def work(items: Sequence[int]) -> list[int]:
        for item in items:
            if item in errors:
                raise errors[item]
        return list(items)

    return work


def isolate(errors: dict[int, Exception], items: Sequence[int]) -> tuple[list[int], Bad]:
    """Run failing work; return the items that were done, in their order, and the bad ones."""
    bad: Bad = []
    results = run_isolating_bad_items(failing(errors), items, lambda item, error: bad.append((item, error)))
    return [item for result in results for item in result], bad


class TestRunIsolatingBadItems:
    @pytest.mark.parametrize("error", ERRORS_OF_ITEMS, ids=lambda error: type(error).__name__)
    def test_one_bad_item_is_reported_and_the_others_are_done(self, error: Exception) -> None:
        done, bad = isolate({13: error}, range(20))
        assert done == [item for item in range(20) if item != 13]
        assert bad == [(13, error)]

    def test_bad_items_of_different_kinds_are_each_reported(self) -> None:
        errors: dict[int, Exception] = {0: ValueError(), 5: LockTimeout("held"), 19: KeyError()}
        done, bad = isolate(errors, range(20))
        assert done == [item for item in range(20) if item not in errors]
        assert dict(bad) == errors

    @pytest.mark.parametrize("error", ERRORS_OF_ALL, ids=lambda error: type(error).__name__)
    def test_what_is_about_no_item_propagates_at_once(self, error: Exception) -> None:
        calls = []

        def work(items: Sequence[int]) -> None:
            calls.append(items)
            raise error

        with pytest.raises(type(error)):
            run_isolating_bad_items(work, [1, 2, 3], lambda *_: None)
        assert len(calls) == 1

    def test_one_bad_item_of_a_thousand_costs_about_twenty_runs(self) -> None:
        calls = []

        def work(items: Sequence[int]) -> None:
            calls.append(items)
            if 700 in items:
                raise ValueError

        run_isolating_bad_items(work, range(1000), lambda *_: None)
        assert len(calls) <= 21

    def test_a_single_item_that_is_bad_is_reported(self) -> None:
        error = LockTimeout("held")
        assert isolate({1: error}, [1]) == ([], [(1, error)])


class TestLockedTable:
    def test_a_lock_on_every_item_propagates(self) -> None:
        with pytest.raises(LockTimeout):
            isolate(dict.fromkeys(range(4), LockTimeout("held")), range(4))

    def test_the_search_for_locked_items_ends_in_time(self) -> None:
        seconds = 0.0

        def work(items: Sequence[int]) -> list[int]:
            nonlocal seconds
            seconds += 1.0
            raise LockTimeout("held")

        with pytest.raises(LockTimeout):
            run_isolating_bad_items(work, range(1000), lambda *_: None, lambda: seconds)
        assert seconds <= LOCKS_SECONDS_MAX + 12

    def test_when_time_is_up_what_is_left_counts_as_locked_and_what_was_done_stays(self) -> None:
        seconds = 0.0
        bad: Bad = []

        def work(items: Sequence[int]) -> list[int]:
            nonlocal seconds
            if min(items) >= 4:
                seconds += LOCKS_SECONDS_MAX
                raise LockTimeout("held")
            if max(items) >= 4:
                raise LockTimeout("held")
            return list(items)

        results = run_isolating_bad_items(
            work, range(16), lambda item, error: bad.append((item, error)), lambda: seconds
        )
        assert results == [[0, 1, 2, 3]]
        assert [item for item, _ in bad] == list(range(4, 16))


class TestRunEachItem:
    @pytest.mark.parametrize("error", [*ERRORS_OF_ITEMS, LockTimeout("held")], ids=lambda error: type(error).__name__)
    def test_a_bad_item_is_reported_and_the_others_are_done(self, error: Exception) -> None:
        bad: Bad = []
        done = run_each_item(lambda item: failing({2: error})([item]), [1, 2, 3], lambda *what: bad.append(what))
        assert (done, bad) == ([[1], [3]], [(2, error)])

    @pytest.mark.parametrize("error", ERRORS_OF_ALL, ids=lambda error: type(error).__name__)
    def test_what_is_about_no_item_propagates(self, error: Exception) -> None:
        with pytest.raises(type(error)):
            run_each_item(lambda item: failing({1: error})([item]), [1, 2], lambda *_: None)
