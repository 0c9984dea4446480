"""What messages and answers lead to, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.attempts import (
    ATTEMPTS_MAX,
    LATER_WAIT_SECONDS_MAX,
    RATE_LIMIT_WAIT_SECONDS_MAX,
    UNDER_WAY_SECONDS_MAX,
    AttemptPlace,
    Defer,
    LastAttempt,
    Retry,
    Schedule,
    Settle,
    Skip,
    Start,
    after_answer,
    next_step,
    pending_delay,
)
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    GatewayOutcome,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import OPEN_STATUSES, UNSETTLED_STATUSES, Kind, OperationStatus, gateway_key

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LEASE_SECONDS = 10.0
SCHEDULE = Schedule((1, 2), (3, 5, 9))
SILENCE = Unknown(Fault.NO_ANSWER, "no answer")
NOTHING_ARRIVED = Unknown(Fault.NO_ANSWER, "no answer", never_arrived=True)

numbers = st.integers(1, ATTEMPTS_MAX)
asks = st.integers(0, 50)
asked = st.tuples(numbers, asks)
ages = st.floats(0, 1000).map(lambda seconds: NOW - timedelta(seconds=seconds))
asked_statuses = sorted(set(OperationStatus) - {OperationStatus.ACCEPTED})
attempts = st.builds(LastAttempt, numbers, st.sampled_from(asked_statuses), ages, asks, st.booleans())
settled_statuses = sorted(set(OperationStatus) - UNSETTLED_STATUSES)
settled_attempts = st.builds(LastAttempt, numbers, st.sampled_from(settled_statuses), ages, asks, st.booleans())
open_attempts = st.builds(LastAttempt, numbers, st.sampled_from(sorted(OPEN_STATUSES)), ages, asks, st.booleans())
places = st.builds(AttemptPlace, numbers, asks, st.booleans(), st.floats(0, 7 * 86_400))
delays = st.lists(st.floats(0.1, 100_000), max_size=10)
schedules = st.builds(Schedule, delays, delays)
unsettling: st.SearchStrategy[GatewayOutcome] = st.one_of(
    st.sampled_from([Pending(), Contradictory("more", "ch_1"), UnderWay("409"), RateLimited(None)]),
    st.builds(RateLimited, st.floats(0, 86_400)),
    st.builds(Unknown, st.sampled_from(Fault), st.just("no answer")),
)


class TestNextStep:
    def test_a_new_payment_is_charged_without_asking_first(self) -> None:
        assert next_step(True, None, (1, 0), NOW, LEASE_SECONDS) == Start(1, ask_first=False)

    @given(attempts.filter(lambda last: last.status is not OperationStatus.RATE_LIMITED), asked)
    def test_after_any_call_the_gateway_is_asked_before_it_is_called_again(
        self, last: LastAttempt, asked: tuple[int, int]
    ) -> None:
        # A call whose end was not seen may have done it, and gateways forget keys.
        step = next_step(False, last, asked, NOW, LEASE_SECONDS)
        assert not isinstance(step, Start) or step.ask_first

    @given(settled_attempts, asked)
    def test_a_settled_operation_is_never_asked_for(self, last: LastAttempt, asked: tuple[int, int]) -> None:
        assert next_step(False, last, asked, NOW, LEASE_SECONDS) == Skip()

    @given(asked)
    def test_what_may_not_begin_is_never_asked_for(self, asked: tuple[int, int]) -> None:
        assert next_step(False, None, asked, NOW, LEASE_SECONDS) == Skip()

    @given(attempts, asked)
    def test_every_call_after_the_first_asks_the_gateway_first(self, last: LastAttempt, asked: tuple[int, int]) -> None:
        step = next_step(False, last, asked, NOW, LEASE_SECONDS)
        if isinstance(step, Start):
            turned_away = last.number == 1 and last.status is OperationStatus.RATE_LIMITED
            assert step.ask_first is not turned_away

    @given(attempts, asked)
    def test_an_attempt_is_followed_by_the_next_one_or_by_its_next_ask(
        self, last: LastAttempt, asked: tuple[int, int]
    ) -> None:
        step = next_step(False, last, asked, NOW, LEASE_SECONDS)
        if isinstance(step, Start):
            assert (step.number, step.ask) in {(last.number + 1, 0), (last.number, last.ask + 1)}
            assert step.number <= ATTEMPTS_MAX

    @given(attempts, st.integers(), st.integers())
    def test_no_message_makes_a_number_grow(self, last: LastAttempt, number: int, ask: int) -> None:
        step = next_step(False, last, (number, ask), NOW, LEASE_SECONDS)
        if not isinstance(step, Skip):
            assert step.number <= last.number + 1
            assert step.ask <= last.ask + 1

    @given(numbers, st.floats(0, 9.9), asked)
    def test_a_leased_attempt_is_never_started_again(
        self, number: int, age_seconds: float, asked: tuple[int, int]
    ) -> None:
        last = LastAttempt(number, OperationStatus.STARTED, NOW - timedelta(seconds=age_seconds))
        step = next_step(False, last, asked, NOW, LEASE_SECONDS)
        assert isinstance(step, Defer)
        assert 0 < step.seconds <= LEASE_SECONDS

    @given(open_attempts, asked)
    def test_only_the_successor_follows_an_open_attempt(self, last: LastAttempt, asked: tuple[int, int]) -> None:
        step = next_step(False, last, asked, NOW, LEASE_SECONDS)
        assert isinstance(step, Start) == (asked in {(last.number + 1, 0), (last.number, last.ask + 1)})

    @given(numbers, asks, asked)
    def test_a_pending_charge_uses_up_no_attempt(self, number: int, ask: int, asked: tuple[int, int]) -> None:
        last = LastAttempt(number, OperationStatus.PENDING, NOW, ask, was_pending=True)
        step = next_step(False, last, asked, NOW, LEASE_SECONDS)
        assert step in (Skip(), Start(number, ask_first=True, ask=ask + 1, was_pending=True))


class TestAfterAnswer:
    @given(places, schedules)
    def test_only_the_whole_amount_succeeds(self, place: AttemptPlace, schedule: Schedule) -> None:
        assert after_answer(place, Succeeded("ch_1"), schedule) == Settle(OperationStatus.SUCCEEDED)
        for answer, status, code in (
            (PartlyApproved("ch_1", 8), OperationStatus.PARTIAL, "partial_approval"),
            (Declined("expired_card", "Expired card.", "54"), OperationStatus.DECLINED, "expired_card"),
        ):
            settle = after_answer(place, answer, schedule)
            assert isinstance(settle, Settle)
            assert (settle.status, settle.failure_code, settle.gave_up) == (status, code, False)

    @given(places, unsettling, schedules)
    def test_a_payment_never_settles_while_the_money_may_have_moved(
        self, place: AttemptPlace, answer: GatewayOutcome, schedule: Schedule
    ) -> None:
        step = after_answer(place, answer, schedule)
        assert isinstance(step, Retry)
        assert (step.number, step.ask) in {(place.number + 1, 0), (place.number, place.ask + 1)}
        assert step.number <= ATTEMPTS_MAX
        assert step.seconds > 0

    @given(places, schedules, st.sampled_from([Pending(), Contradictory("more"), UnderWay("409", not_found=False)]))
    def test_what_the_gateway_has_is_asked_for_outside_the_attempts(
        self, place: AttemptPlace, schedule: Schedule, answer: GatewayOutcome
    ) -> None:
        step = after_answer(place, answer, schedule)
        assert step == Retry(place.number, pending_delay(place.ask, schedule), place.ask + 1)

    @given(numbers, asks, schedules, st.sampled_from([SILENCE, NOTHING_ARRIVED]))
    def test_a_look_up_that_fails_uses_up_no_attempt_of_a_pending_charge(
        self, number: int, ask: int, schedule: Schedule, answer: Unknown
    ) -> None:
        step = after_answer(AttemptPlace(number, ask, was_pending=True), answer, schedule)
        assert step == Retry(number, pending_delay(ask, schedule), ask + 1)


class TestUnknownAnswers:
    def test_each_wait_of_the_schedule_is_used_once_and_then_the_payment_fails(self) -> None:
        steps = [after_answer(AttemptPlace(number), NOTHING_ARRIVED, SCHEDULE) for number in (1, 2, 3)]
        assert steps[:2] == [Retry(2, 1), Retry(3, 2)]
        assert isinstance(steps[2], Settle)
        assert (steps[2].status, steps[2].failure_code, steps[2].gave_up) == (
            OperationStatus.DECLINED,
            "gateway_timeout",
            True,
        )

    @given(schedules, numbers)
    def test_it_ends_once_the_gateway_says_that_nothing_arrived(self, schedule: Schedule, number: int) -> None:
        step = after_answer(AttemptPlace(number), NOTHING_ARRIVED, schedule)
        assert isinstance(step, Settle) == (number > len(schedule.retry_delays) or number == ATTEMPTS_MAX)

    @given(st.integers(3, ATTEMPTS_MAX - 1))
    def test_beyond_the_schedule_the_waits_grow_up_to_a_bound(self, number: int) -> None:
        step = after_answer(AttemptPlace(number), SILENCE, SCHEDULE)
        assert isinstance(step, Retry)
        assert 2 <= step.seconds <= LATER_WAIT_SECONDS_MAX

    def test_the_last_attempt_is_gone_on_with(self) -> None:
        assert after_answer(AttemptPlace(ATTEMPTS_MAX), SILENCE, SCHEDULE) == Retry(ATTEMPTS_MAX, 3, 1)


class TestRefusedRepetitions:
    def test_they_are_asked_about_on_the_schedule_of_pending_charges(self) -> None:
        waits = [after_answer(AttemptPlace(2, ask), UnderWay("422", True), SCHEDULE) for ask in (0, 1, 2, 3)]
        assert waits == [Retry(2, 3, 1), Retry(2, 5, 2), Retry(2, 9, 3), Retry(2, 9, 4)]

    @given(numbers, asks, st.floats(-86_400, 7 * 86_400))
    def test_they_end_once_no_earlier_request_can_be_at_work(self, number: int, ask: int, age_seconds: float) -> None:
        step = after_answer(AttemptPlace(number, ask, age_seconds=age_seconds), UnderWay("422", True), SCHEDULE)
        assert isinstance(step, Settle) == (age_seconds > UNDER_WAY_SECONDS_MAX)
        if isinstance(step, Settle):
            assert (step.failure_code, step.gave_up) == ("gateway_rejected", True)

    @given(numbers, asks, st.floats(0, 7 * 86_400))
    def test_they_never_end_a_charge_that_was_pending(self, number: int, ask: int, age_seconds: float) -> None:
        step = after_answer(AttemptPlace(number, ask, True, age_seconds), UnderWay("422", True), SCHEDULE)
        assert step == Retry(number, pending_delay(ask, SCHEDULE), ask + 1)


class TestRateLimits:
    def test_the_gateway_says_for_how_long(self) -> None:
        assert after_answer(AttemptPlace(1), RateLimited(7), SCHEDULE) == Retry(1, 7, 1)

    @given(places)
    def test_without_a_word_the_waits_grow_up_to_a_bound(self, place: AttemptPlace) -> None:
        step = after_answer(place, RateLimited(), SCHEDULE)
        assert isinstance(step, Retry)
        assert step.number == place.number
        assert 1 <= step.seconds <= RATE_LIMIT_WAIT_SECONDS_MAX


class TestGatewayKey:
    def test_it_is_the_same_on_every_try_and_another_for_every_payment(self) -> None:
        first, second = uuid4(), uuid4()
        assert gateway_key(first, Kind.CHARGE) == gateway_key(first, Kind.CHARGE) == f"{first}:charge"
        assert gateway_key(first, Kind.CHARGE) != gateway_key(second, Kind.CHARGE)
        assert gateway_key(first, Kind.CHARGE) != gateway_key(first, Kind.REFUND)
