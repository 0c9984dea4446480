"""How long, and how often, the gateway is asked about operations that have ended, and what its answers mean then."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    Unknown,
)
from paybridge.payments.domain.late_changes import (
    LAST_AGES_MAX,
    LAST_WAIT_SECONDS,
    ChargedLate,
    CheckAges,
    LookAgain,
    LookNoMore,
    RefundedLate,
    TakenBack,
    after_look_up,
    first_check_seconds,
    next_look_up,
)
from paybridge.payments.domain.operation import Cause, Kind, Operation, OperationStatus

NOW = datetime(2026, 11, 29, tzinfo=UTC)
# Never the ages of the other purpose.
NEVER: tuple[float, ...] = ()
AGES = (60.0, 600.0, 3600.0)

ages = st.lists(st.floats(1, 10**6), min_size=1, max_size=8)
age_of_check = st.floats(0, 10**7)
unclear = st.sampled_from([RateLimited(3), Unknown(Fault.SERVER_ERROR, "500"), Contradictory("more")])
given_up_kinds = st.sampled_from([Kind.CHARGE, Kind.AUTHORIZATION, Kind.REFUND])
clear = [Succeeded("g_1"), PartlyApproved("g_1", 7), Declined("no", "No."), NotFound(), Pending()]
answers = st.sampled_from(clear) | unclear


def ended(kind: Kind, status: OperationStatus = OperationStatus.DECLINED) -> Operation:
    return Operation(
        id=uuid.uuid4(),
        payment_id=uuid.uuid4(),
        merchant_id=uuid.uuid4(),
        kind=kind,
        cause=Cause.MERCHANT,
        gateway="default",
        amount_minor=10050,
        status=status,
        correlation_id="c",
        created_at=NOW,
        updated_at=NOW,
    )


REFUND = ended(Kind.REFUND, OperationStatus.SUCCEEDED)


class TestFirstCheckSeconds:
    @given(given_up_kinds)
    def test_what_was_given_up_is_asked_about(self, kind: Kind) -> None:
        assert first_check_seconds(kind, OperationStatus.DECLINED, True, CheckAges((60, 9), NEVER)) == 9

    @given(st.sampled_from(Kind))
    def test_what_the_gateway_declined_is_not(self, kind: Kind) -> None:
        assert first_check_seconds(kind, OperationStatus.DECLINED, False, CheckAges((60,), (60,))) is None

    def test_of_all_that_succeeds_a_refund_alone_is_asked_about(self) -> None:
        seconds = {
            kind: first_check_seconds(kind, OperationStatus.SUCCEEDED, False, CheckAges((1,), (60,))) for kind in Kind
        }
        assert {kind for kind, wait in seconds.items() if wait is not None} == {Kind.REFUND}
        assert seconds[Kind.REFUND] == 60

    def test_without_ages_nothing_is_asked(self) -> None:
        assert first_check_seconds(Kind.CHARGE, OperationStatus.DECLINED, True, CheckAges(NEVER, NEVER)) is None
        assert first_check_seconds(Kind.REFUND, OperationStatus.SUCCEEDED, False, CheckAges(NEVER, NEVER)) is None


class TestGivenUp:
    @given(given_up_kinds, ages, age_of_check)
    def test_what_happened_after_all_is_found_at_any_age(
        self, kind: Kind, ages_seconds: list[float], age: float
    ) -> None:
        late = RefundedLate if kind is Kind.REFUND else ChargedLate
        given_up, check_ages = ended(kind), CheckAges(ages_seconds, NEVER)
        assert after_look_up(given_up, Succeeded("g_1"), age, check_ages) == late("g_1", 10050)
        assert after_look_up(given_up, PartlyApproved("g_1", 7), age, check_ages) == late("g_1", 7)

    def test_absence_is_final_after_the_last_age_only(self) -> None:
        steps = [
            after_look_up(ended(Kind.CHARGE), NotFound(), age, CheckAges(AGES, NEVER)) for age in (60, 600, 3599, 3600)
        ]
        assert steps == [LookAgain(540), LookAgain(3000), LookAgain(1), LookNoMore()]

    @given(given_up_kinds, ages, age_of_check)
    def test_a_decline_is_final(self, kind: Kind, ages_seconds: list[float], age: float) -> None:
        declined = Declined("card_declined", "No.")
        assert after_look_up(ended(kind), declined, age, CheckAges(ages_seconds, NEVER)) == LookNoMore()

    @given(given_up_kinds, ages, age_of_check)
    def test_what_is_pending_is_asked_about_until_it_is_decided(
        self, kind: Kind, ages_seconds: list[float], age: float
    ) -> None:
        step = after_look_up(ended(kind), Pending(), age, CheckAges(ages_seconds, NEVER))
        assert isinstance(step, LookAgain)
        assert 0 < step.seconds <= max(LAST_WAIT_SECONDS, *ages_seconds)

    @given(given_up_kinds, ages, age_of_check, unclear)
    def test_an_answer_that_says_nothing_is_asked_for_again_within_a_bound(
        self, kind: Kind, ages_seconds: list[float], age: float, answer: LookUpAnswer
    ) -> None:
        step = after_look_up(ended(kind), answer, age, CheckAges(ages_seconds, NEVER))
        assert isinstance(step, LookAgain) == (age < LAST_AGES_MAX * max(ages_seconds))


class TestSucceededRefund:
    @given(ages, age_of_check)
    def test_it_is_taken_back_at_any_age(self, ages_seconds: list[float], age: float) -> None:
        declined = Declined("refund_reversed", "Taken back.")
        assert after_look_up(REFUND, declined, age, CheckAges(NEVER, ages_seconds)) == TakenBack()

    @given(ages, age_of_check, answers.filter(lambda answer: not isinstance(answer, Declined)))
    def test_no_other_answer_takes_it_back(self, ages_seconds: list[float], age: float, answer: LookUpAnswer) -> None:
        assert isinstance(after_look_up(REFUND, answer, age, CheckAges(NEVER, ages_seconds)), LookAgain | LookNoMore)

    @pytest.mark.parametrize("answer", [Succeeded("re_1"), NotFound()])
    def test_that_it_stands_is_final_after_the_last_age_only(self, answer: LookUpAnswer) -> None:
        steps = [after_look_up(REFUND, answer, age, CheckAges(NEVER, AGES)) for age in (60, 600, 3599, 3600)]
        assert steps == [LookAgain(540), LookAgain(3000), LookAgain(1), LookNoMore()]


class TestOthers:
    @given(
        st.sampled_from(Kind),
        st.sampled_from([OperationStatus.SUCCEEDED, OperationStatus.PARTIAL, OperationStatus.REVERSED]),
        answers,
        age_of_check,
    )
    def test_nothing_else_changes_after_its_end(
        self, kind: Kind, status: OperationStatus, answer: LookUpAnswer, age: float
    ) -> None:
        operation = ended(kind, status)
        if (kind, status) != (Kind.REFUND, OperationStatus.SUCCEEDED):
            assert after_look_up(operation, answer, age, CheckAges(AGES, AGES)) == LookNoMore()

    @given(st.sampled_from([Kind.CAPTURE, Kind.VOID, Kind.REFUND_REVERSAL]), answers, age_of_check)
    def test_what_is_never_given_up_is_not_asked_about(self, kind: Kind, answer: LookUpAnswer, age: float) -> None:
        assert after_look_up(ended(kind), answer, age, CheckAges(AGES, AGES)) == LookNoMore()


class TestNextLookUp:
    # Whole seconds, whose sums are exact.
    @given(st.lists(st.integers(1, 10**6).map(float), min_size=1, max_size=8))
    def test_every_age_is_asked_at_once(self, ages_seconds: list[float]) -> None:
        age, asked = 0.0, []
        while (wait := next_look_up(age, ages_seconds)) is not None:
            age += wait
            asked.append(age)
        assert asked == pytest.approx(sorted(set(ages_seconds)))
