"""When an endpoint that fails is disabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from paybridge.webhooks.domain.failing import (
    CLOCK_STARTS_AFTER,
    DISABLED_AFTER,
    WARNED_AT_PERCENT,
    FailureClock,
    after_failure,
)

START = datetime(2026, 12, 1, tzinfo=UTC)
gaps = st.lists(st.timedeltas(timedelta(0), timedelta(days=2)), max_size=60)


def failures(moments: list[datetime]) -> tuple[list[int], datetime | None]:
    """The warnings that failures at these moments lead to, and when the endpoint is disabled."""
    clock, warnings = FailureClock(), []
    for moment in moments:
        verdict = after_failure(clock, moment)
        if verdict.is_disabled:
            return warnings, moment
        warnings += [verdict.warning_percent] if verdict.warning_percent is not None else []
        clock = verdict.clock
    return warnings, None


class TestAfterFailure:
    def test_failures_of_one_night_start_no_clock(self) -> None:
        moments = [START + timedelta(minutes=minute) for minute in range(0, 12 * 60, 5)]
        assert failures(moments) == ([], None)

    def test_an_endpoint_that_fails_every_hour_is_warned_and_then_disabled(self) -> None:
        moments = [START + timedelta(hours=hour) for hour in range(24 * 7)]
        warnings, ended_at = failures(moments)
        assert warnings == [*WARNED_AT_PERCENT]
        assert ended_at == START + CLOCK_STARTS_AFTER + DISABLED_AFTER

    def test_two_failures_far_apart_disable_nothing(self) -> None:
        assert failures([START, START + timedelta(days=30)]) == ([], None)

    @given(gaps)
    def test_nothing_is_disabled_before_five_days_of_the_clock(self, between: list[timedelta]) -> None:
        moments = [START]
        for gap in between:
            moments.append(moments[-1] + gap)
        warnings, ended_at = failures(moments)
        assert warnings == sorted(set(warnings))
        if ended_at is not None:
            assert ended_at - START >= CLOCK_STARTS_AFTER + DISABLED_AFTER

    @given(gaps)
    def test_the_clock_never_goes_back(self, between: list[timedelta]) -> None:
        clock, moment = FailureClock(), START
        for gap in between:
            moment += gap
            verdict = after_failure(clock, moment)
            after = verdict.clock
            assert after.first_failure_at == (clock.first_failure_at or moment)
            assert clock.failing_since in {None, after.failing_since}
            assert after.warned_percent >= clock.warned_percent
            if verdict.is_disabled:
                return
            clock = after
