"""How long, and how often, the gateway is asked for the charge of a payment that was given up."""

from __future__ import annotations

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
from paybridge.payments.domain.late_charges import (
    LAST_AGES_MAX,
    ChargedLate,
    LookAgain,
    LookNoMore,
    after_look_up,
    next_look_up,
)

AGES = (60.0, 600.0, 3600.0)

ages = st.lists(st.floats(1, 10**6), min_size=1, max_size=8)
unclear = st.sampled_from([Pending(), RateLimited(3), Unknown(Fault.SERVER_ERROR, "500"), Contradictory("more")])


class TestAfterLookUp:
    @given(ages, st.floats(0, 10**7))
    def test_a_charge_is_found_at_any_age(self, ages_seconds: list[float], age: float) -> None:
        assert after_look_up(Succeeded("ch_1"), 10050, age, ages_seconds) == ChargedLate("ch_1", 10050)
        assert after_look_up(PartlyApproved("ch_1", 7), 10050, age, ages_seconds) == ChargedLate("ch_1", 7)

    def test_absence_is_final_after_the_last_age_only(self) -> None:
        steps = [after_look_up(NotFound(), 1, age, AGES) for age in (60, 600, 3599, 3600)]
        assert steps == [LookAgain(540), LookAgain(3000), LookAgain(1), LookNoMore()]

    @given(ages, st.floats(0, 10**7))
    def test_a_decline_is_final(self, ages_seconds: list[float], age: float) -> None:
        assert after_look_up(Declined("card_declined", "No."), 1, age, ages_seconds) == LookNoMore()

    @given(ages, st.floats(0, 10**7), unclear)
    def test_an_answer_that_says_nothing_is_asked_for_again_within_a_bound(
        self, ages_seconds: list[float], age: float, answer: LookUpAnswer
    ) -> None:
        step = after_look_up(answer, 1, age, ages_seconds)
        assert isinstance(step, LookAgain) == (age < LAST_AGES_MAX * max(ages_seconds))

    # Whole seconds, whose sums are exact.
    @given(st.lists(st.integers(1, 10**6).map(float), min_size=1, max_size=8))
    def test_every_age_is_asked_at_once(self, ages_seconds: list[float]) -> None:
        age, asked = 0.0, []
        while (wait := next_look_up(age, ages_seconds)) is not None:
            age += wait
            asked.append(age)
        assert asked == pytest.approx(sorted(set(ages_seconds)))
