"""One bad item goes alone; a fault that is nobody's goes through."""

from collections.abc import Sequence

import pytest

from paybridge.core.errors import ConstraintViolated, DatabaseUnavailable, LockTimeout, PaybridgeError, QueryFailed
from paybridge.core.isolation import again_after_lock, isolate


class TestIsolate:
    @pytest.mark.parametrize("error", [QueryFailed("22P05", "NUL"), ConstraintViolated("positive", "no")])
    def test_the_bad_item_is_told_of_and_the_others_are_done(self, error: PaybridgeError) -> None:
        def work(items: Sequence[int]) -> list[int]:
            if 3 in items:
                raise error
            return list(items)

        bad: list[tuple[int, PaybridgeError]] = []
        results = isolate(work, [1, 2, 3, 4], lambda item, reason: bad.append((item, reason)))
        assert results == [[1], [2], [4]]
        assert bad == [(3, error)]

    @pytest.mark.parametrize(
        "error", [QueryFailed("42P01", "no such table"), DatabaseUnavailable("away"), LockTimeout("held")]
    )
    def test_a_fault_that_is_no_items_goes_through_at_once(self, error: PaybridgeError) -> None:
        calls = 0

        def work(items: Sequence[int]) -> None:
            nonlocal calls
            calls += 1
            raise error

        with pytest.raises(type(error)):
            isolate(work, [1, 2, 3], lambda *_: None)
        assert calls == 1


class TestAgainAfterLock:
    def test_a_lock_is_met_once_more_and_no_oftener(self) -> None:
        calls = 0

        def work(items: Sequence[int]) -> None:
            nonlocal calls
            calls += 1
            raise LockTimeout("held")

        with pytest.raises(LockTimeout):
            again_after_lock(work)([1])
        assert calls == 2
