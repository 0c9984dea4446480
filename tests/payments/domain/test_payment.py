"""The state machine of a payment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import IllegalTransition
from paybridge.payments.domain.payment import SETTLED, TRANSITIONS, Status, ensure_transition

statuses = st.sampled_from(list(Status))


class TestTransitions:
    def test_every_status_has_its_row(self) -> None:
        assert set(TRANSITIONS) == set(Status)

    @given(statuses, statuses)
    def test_only_transitions_of_the_table_are_allowed(self, current: Status, target: Status) -> None:
        if target in TRANSITIONS[current]:
            ensure_transition(current, target)
        else:
            with pytest.raises(IllegalTransition):
                ensure_transition(current, target)

    @given(st.lists(statuses, max_size=30))
    def test_a_payment_that_failed_never_moves_money_again(self, targets: list[Status]) -> None:
        status, failed = Status.PENDING, False
        for target in targets:
            if target in TRANSITIONS[status]:
                status = target
            failed = failed or status in {Status.FAILED, Status.CANCELED}
            assert not (failed and status not in {Status.FAILED, Status.CANCELED})

    def test_money_is_refunded_only_after_it_was_captured(self) -> None:
        for status, targets in TRANSITIONS.items():
            if targets & {Status.REFUNDED, Status.PARTIALLY_REFUNDED}:
                assert status in {Status.SUCCEEDED, Status.PARTIALLY_REFUNDED, Status.REFUNDED}

    def test_a_settled_payment_is_neither_pending_processing_nor_in_review(self) -> None:
        assert {Status.PENDING, Status.PROCESSING, Status.REVIEW} == set(Status) - SETTLED
