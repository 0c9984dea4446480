"""What messages and answers lead to, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.charging import (
    AttemptStatus,
    Defer,
    LastAttempt,
    RetryCharge,
    Settle,
    Skip,
    Start,
    after_unknown,
    gateway_key,
    next_step,
)
from paybridge.payments.domain.payment import SETTLED, Status

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LEASE_SECONDS = 10.0

numbers = st.integers(1, 20)
ages = st.floats(0, 1000).map(lambda seconds: NOW - timedelta(seconds=seconds))
attempts = st.builds(LastAttempt, numbers, st.sampled_from(AttemptStatus), ages)


class TestNextStep:
    def test_a_new_payment_is_charged_without_asking_first(self) -> None:
        assert next_step(Status.PENDING, None, 1, NOW, LEASE_SECONDS) == Start(1, ask_first=False)

    @given(st.sampled_from(sorted(SETTLED)), st.none() | attempts, numbers)
    def test_a_settled_payment_is_never_charged(self, status: Status, last: LastAttempt | None, asked: int) -> None:
        assert next_step(status, last, asked, NOW, LEASE_SECONDS) == Skip()

    @given(attempts, numbers)
    def test_every_attempt_after_the_first_asks_the_gateway_first(self, last: LastAttempt, asked: int) -> None:
        step = next_step(Status.PROCESSING, last, asked, NOW, LEASE_SECONDS)
        if isinstance(step, Start):
            assert step.ask_first
            assert step.number == last.number + 1

    @given(numbers, st.floats(0, 9.9), numbers)
    def test_a_leased_attempt_is_never_started_again(self, number: int, age_seconds: float, asked: int) -> None:
        last = LastAttempt(number, AttemptStatus.STARTED, NOW - timedelta(seconds=age_seconds))
        step = next_step(Status.PROCESSING, last, asked, NOW, LEASE_SECONDS)
        assert isinstance(step, Defer)
        assert 0 < step.seconds <= LEASE_SECONDS

    @given(numbers, numbers)
    def test_only_the_successor_follows_an_unknown_attempt(self, number: int, asked: int) -> None:
        last = LastAttempt(number, AttemptStatus.UNKNOWN, NOW)
        step = next_step(Status.PROCESSING, last, asked, NOW, LEASE_SECONDS)
        assert isinstance(step, Start) == (asked == number + 1)


class TestAfterUnknown:
    def test_each_wait_of_the_schedule_is_used_once_and_then_the_payment_fails(self) -> None:
        steps = [after_unknown(number, "gateway_timeout", (1, 2), never_arrived=True) for number in (1, 2, 3)]
        assert steps[:2] == [RetryCharge(2, 1), RetryCharge(3, 2)]
        assert isinstance(steps[2], Settle)
        assert (steps[2].status, steps[2].failure_code) == (Status.FAILED, "gateway_timeout")

    @given(st.lists(st.floats(0.1, 100), max_size=10), st.integers(1, 30))
    def test_it_ends_once_the_gateway_says_that_nothing_arrived(self, delays: list[float], number: int) -> None:
        step = after_unknown(number, "gateway_error", delays, never_arrived=True)
        assert isinstance(step, Settle) == (number > len(delays))

    @given(st.lists(st.floats(0.1, 100), max_size=10), st.integers(1, 30))
    def test_a_payment_never_fails_while_the_money_may_have_moved(self, delays: list[float], number: int) -> None:
        step = after_unknown(number, "gateway_error", delays, never_arrived=False)
        assert isinstance(step, RetryCharge)
        assert step.number == number + 1
        assert step.seconds > 0


class TestGatewayKey:
    def test_it_is_the_same_on_every_try_and_another_for_every_payment(self) -> None:
        first, second = uuid4(), uuid4()
        assert gateway_key(first) == gateway_key(first)
        assert gateway_key(first) != gateway_key(second)
        assert gateway_key(first) != gateway_key(first, "refund")
