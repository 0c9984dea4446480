"""A bad item fails alone, a lock conflict is retried once, and every other error propagates."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paybridge.core.errors import (
    ConstraintViolated,
    DatabaseUnavailable,
    IllegalTransition,
    LockTimeout,
    PaybridgeError,
    QueryFailed,
)
from paybridge.core.isolation import run_isolating_bad_items


class FailingWork:
    """Work that raises its errors one by one, and then returns the items."""

    def __init__(self, *errors: PaybridgeError) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return list(items)


def run(work: FailingWork) -> list[list[int]]:
    return run_isolating_bad_items(work, [1, 2, 3], lambda *_: None)


class TestBadItems:
    @pytest.mark.parametrize(
        "error", [QueryFailed("22P05", "NUL"), ConstraintViolated("positive", "no"), IllegalTransition("no")]
    )
    def test_the_bad_item_is_reported_and_the_others_are_done(self, error: PaybridgeError) -> None:
        def work(items: Sequence[int]) -> list[int]:
            if 3 in items:
                raise error
            return list(items)

        bad: list[tuple[int, PaybridgeError]] = []
        results = run_isolating_bad_items(work, [1, 2, 3, 4], lambda item, reason: bad.append((item, reason)))
        assert results == [[1], [2], [4]]
        assert bad == [(3, error)]

    @pytest.mark.parametrize("error", [QueryFailed("42P01", "no such table"), DatabaseUnavailable("down")])
    def test_an_error_about_no_item_propagates_at_once(self, error: PaybridgeError) -> None:
        work = FailingWork(error)
        with pytest.raises(type(error)):
            run(work)
        assert work.calls == 1


class TestLockConflicts:
    def test_one_conflict_is_retried(self) -> None:
        work = FailingWork(LockTimeout("held"))
        assert run(work) == [[1, 2, 3]]
        assert work.calls == 2

    def test_a_second_conflict_propagates(self) -> None:
        work = FailingWork(LockTimeout("held"), LockTimeout("still held"))
        with pytest.raises(LockTimeout, match="still held"):
            run(work)
        assert work.calls == 2
