"""How events are divided into calls of EventBridge."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.bridge.domain.entries import CALL_BYTES_MAX, CALL_ENTRIES_MAX, Entry, calls_of

NOW = datetime(2026, 11, 28, tzinfo=UTC)
# What EventBridge takes in one call.
LIMIT_BYTES = 256 * 1024


def entry(detail: str) -> Entry:
    return Entry("payment.succeeded", NOW, detail)


class TestSize:
    def test_it_is_counted_in_bytes_as_eventbridge_does(self) -> None:
        assert entry("€").size_bytes == 14 + len("paybridge") + len("payment.succeeded") + 3

    def test_one_that_no_call_takes_is_too_large(self) -> None:
        room = CALL_BYTES_MAX - entry("").size_bytes
        assert not entry("x" * room).is_too_large
        assert entry("x" * (room + 1)).is_too_large

    def test_what_is_sent_stays_below_the_limit(self) -> None:
        assert CALL_BYTES_MAX < LIMIT_BYTES


class TestCallsOf:
    @given(st.lists(st.integers(0, CALL_BYTES_MAX - 100).map(lambda size: entry("x" * size)), max_size=40))
    def test_no_call_is_too_large_and_none_is_lost_or_moved(self, entries: list[Entry]) -> None:
        calls = [*calls_of(entries)]
        assert [each for call in calls for each in call] == entries
        for call in calls:
            assert 0 < len(call) <= CALL_ENTRIES_MAX
            assert sum(each.size_bytes for each in call) <= CALL_BYTES_MAX

    @pytest.mark.parametrize(("count", "sizes"), [(0, []), (10, [10]), (11, [10, 1]), (500, [10] * 50)])
    def test_small_ones_go_in_tens(self, count: int, sizes: list[int]) -> None:
        assert [len(call) for call in calls_of([entry("{}")] * count)] == sizes

    def test_large_ones_go_alone(self) -> None:
        large = entry("x" * (CALL_BYTES_MAX // 2))
        assert [len(call) for call in calls_of([large, large, entry("{}")])] == [1, 2]
