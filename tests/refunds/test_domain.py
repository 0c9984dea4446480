"""How much a merchant may refund."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.operation import Kind, OperationStatus, new_operation
from paybridge.payments.domain.payment import Payment, PaymentOrder, Status, new_payment, refundable_minor
from paybridge.payments.domain.refund import REFUND_STATUSES, RefundStatus
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.refunds.domain import REFUNDABLE, Refund, amount_to_refund, is_settled, status_of, view_of

NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)


def payment(captured: int, refunded: int = 0, refunding: int = 0, status: Status = Status.SUCCEEDED) -> Payment:
    made = new_payment(
        PaymentOrder(amount_minor=captured, currency="EUR"),
        id_=UUID(int=1),
        merchant_id=UUID(int=2),
        correlation_id="c",
        now=NOW,
    )
    return replace(made, status=status, captured_minor=captured, refunded_minor=refunded, refunding_minor=refunding)


@st.composite
def refundable_payments(draw: st.DrawFn) -> Payment:
    captured = draw(st.integers(1, 10**15 - 1))
    refunded = draw(st.integers(0, captured))
    return payment(
        captured, refunded, draw(st.integers(0, captured - refunded)), draw(st.sampled_from(list(REFUNDABLE)))
    )


class TestAmountToRefund:
    @given(refundable_payments(), st.integers(1, 10**15 - 1) | st.none())
    def test_never_gives_back_more_than_was_captured(self, paid: Payment, asked: int | None) -> None:
        amount = amount_to_refund(paid, asked)
        left = refundable_minor(paid)
        if isinstance(amount, OrderRefusal):
            assert left == 0 if asked is None else asked > left
            return
        assert amount == (left if asked is None else asked)
        assert amount > 0
        assert paid.refunded_minor + paid.refunding_minor + amount <= paid.captured_minor

    def test_a_refusal_says_that_the_rest_is_under_way(self) -> None:
        # "Send at most that much" is no advice about 0.00.
        refusal = amount_to_refund(payment(10000, refunding=10000), 1)
        assert isinstance(refusal, OrderRefusal)
        assert refusal.detail == "The amount exceeds what is left: 0.00 EUR. What is under way takes the rest."

    @given(
        st.integers(1, 10**6),
        st.lists(st.tuples(st.integers(1, 10**6) | st.none(), st.sampled_from(["ok", "declined", "unknown"]))),
    )
    def test_any_course_of_refunds_keeps_within_what_was_captured(
        self, captured: int, course: list[tuple[int | None, str]]
    ) -> None:
        """Success moves the reservation, a known failure frees it, an unknown outcome keeps it."""
        paid = payment(captured)
        for asked, outcome in course:
            amount = amount_to_refund(paid, asked)
            if isinstance(amount, OrderRefusal):
                continue
            if outcome == "ok":
                paid = replace(paid, refunded_minor=paid.refunded_minor + amount)
            elif outcome == "unknown":
                paid = replace(paid, refunding_minor=paid.refunding_minor + amount)
            assert paid.refunded_minor + paid.refunding_minor <= captured

    def test_names_what_is_left(self) -> None:
        refusal = amount_to_refund(payment(10_000, refunding=6_000), 4_001)
        assert isinstance(refusal, OrderRefusal)
        assert (refusal.code, refusal.field_name) == ("amount_exceeds_refundable", "amount")
        assert refusal.members == {"refundable": "40.00"}

    @pytest.mark.parametrize("status", sorted(set(Status) - REFUNDABLE))
    @pytest.mark.parametrize("asked", [None, 1])
    def test_needs_money_that_was_taken(self, status: Status, asked: int | None) -> None:
        refusal = amount_to_refund(payment(10_000, status=status), asked)
        assert isinstance(refusal, OrderRefusal)
        assert (refusal.code, refusal.field_name) == ("payment_not_refundable", None)


class TestStatus:
    def test_every_status_of_an_operation_is_one_of_a_refund(self) -> None:
        assert set(REFUND_STATUSES) == set(OperationStatus)

    @pytest.mark.parametrize("status", OperationStatus)
    def test_is_settled_once_the_gateway_has_decided(self, status: OperationStatus) -> None:
        operation = new_operation(Kind.REFUND, payment(10_000), 3_000, id_=UUID(int=9), correlation_id="c", now=NOW)
        refund = Refund(replace(operation, status=status), "EUR", 2)
        assert is_settled(refund) == (status_of(refund) in {RefundStatus.SUCCEEDED, RefundStatus.FAILED})
        assert view_of(refund)["status"] == REFUND_STATUSES[status]
