"""The pace of a merchant's calls while the gateway limits their rate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.pace import (
    CALLS_PER_SECOND_MIN,
    FIRST_CALLS_PER_SECOND,
    HORIZON_SECONDS,
    KEPT_SECONDS,
    PAUSE_SECONDS,
    PAUSE_SECONDS_MAX,
    Pace,
    Refusals,
    after_answers,
    holds,
    plan,
    turn_seconds,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ENDS_AT = NOW + timedelta(seconds=KEPT_SECONDS)
rates = st.floats(CALLS_PER_SECOND_MIN, 1000)
seconds_ahead = st.floats(-100_000, 100_000)


def pace(rate: float, next_seconds: float = 0.0) -> Pace:
    return Pace(rate, NOW + timedelta(seconds=next_seconds), ENDS_AT)


class TestPlan:
    @given(rates, st.integers(0, 500), seconds_ahead)
    def test_calls_are_spaced_and_never_more_than_the_rate_allows(self, rate: float, calls: int, ahead: float) -> None:
        due, _ = plan(pace(rate, ahead), calls, NOW)
        assert len(due) == calls
        assert due == sorted(due)
        assert sum(seconds <= HORIZON_SECONDS for seconds in due) <= rate * HORIZON_SECONDS + 1

    @given(rates, st.lists(st.integers(1, 50), min_size=1, max_size=20))
    def test_batches_share_the_pace(self, rate: float, batches: list[int]) -> None:
        shared, taken = pace(rate), []
        for calls in batches:
            due, shared = plan(shared, calls, NOW)
            taken += [seconds for seconds in due if seconds <= HORIZON_SECONDS]
        assert len(taken) <= rate * HORIZON_SECONDS + 1

    def test_a_wrong_clock_does_not_hold_calls_back_for_ever(self) -> None:
        due, _ = plan(pace(10, 86_400), 1, NOW)
        assert due == [PAUSE_SECONDS_MAX]


class TestAfterAnswers:
    @given(st.integers(0, 1000))
    def test_without_a_refusal_there_is_no_pace(self, taken: int) -> None:
        assert after_answers(None, Refusals(taken, 0, 1.0), NOW) is None

    def test_begins_with_the_rate_that_the_gateway_took(self) -> None:
        first = after_answers(None, Refusals(20, 180, 2.0), NOW)
        assert first == Pace(10.0, NOW, ENDS_AT)

    @pytest.mark.parametrize(("wish", "pause"), [(None, PAUSE_SECONDS), (3.0, 3.0), (1e6, PAUSE_SECONDS_MAX)])
    def test_pauses_if_the_gateway_took_nothing(self, wish: float | None, pause: float) -> None:
        first = after_answers(None, Refusals(0, 5, 0.1, wish), NOW)
        assert first is not None
        assert first.calls_per_second == FIRST_CALLS_PER_SECOND
        assert first.next_call_at == NOW + timedelta(seconds=pause)
        assert holds(first, NOW + timedelta(seconds=pause))

    @given(rates, st.integers(0, 100), st.integers(1, 100))
    def test_falls_with_refusals(self, rate: float, taken: int, refused: int) -> None:
        slower = after_answers(pace(rate), Refusals(taken, refused, 1.0), NOW)
        assert slower is not None
        assert CALLS_PER_SECOND_MIN <= slower.calls_per_second <= rate

    @given(rates, st.integers(1, 100))
    def test_rises_without(self, rate: float, taken: int) -> None:
        faster = after_answers(pace(rate), Refusals(taken, 0, 1.0), NOW)
        assert faster is not None
        assert faster.calls_per_second > rate
        assert faster.ends_at == ENDS_AT

    def test_is_forgotten_after_a_while_without_a_refusal(self) -> None:
        later = NOW + timedelta(seconds=KEPT_SECONDS + 1)
        assert after_answers(pace(3.0), Refusals(5, 0, 1.0), later) is None

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_does_not_hold_by_a_wrong_clock(self, hours: int) -> None:
        assert not holds(Pace(1.0, NOW, NOW + timedelta(hours=hours)), NOW)

    @pytest.mark.parametrize("limit", [2, 10, 100])
    @given(first=st.floats(CALLS_PER_SECOND_MIN, 200))
    def test_finds_the_limit_from_wherever_it_begins(self, limit: int, first: float) -> None:
        found, now = Pace(first, NOW, ENDS_AT), NOW
        for _ in range(100):
            now += timedelta(seconds=1)
            calls = max(round(found.calls_per_second), 1)
            answers = Refusals(min(calls, limit), max(calls - limit, 0), 1.0)
            changed = after_answers(Pace(found.calls_per_second, now, now + timedelta(seconds=60)), answers, now)
            assert changed is not None
            found = changed
        assert 0.7 * limit <= found.calls_per_second <= 1.3 * limit + 1


class TestTurnSeconds:
    @given(rates, st.integers(0, 500), st.one_of(st.none(), st.floats(0, 100)))
    def test_refused_calls_come_again_one_by_one_and_not_too_early(
        self, rate: float, turn: int, wish: float | None
    ) -> None:
        seconds = turn_seconds(pace(rate), turn, wish, NOW)
        assert seconds >= turn / rate
        assert seconds >= (PAUSE_SECONDS if wish is None else wish)
