"""What an event says about the operation that caused it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from paybridge.payments.domain.facts import operation_fact, returned_reason
from paybridge.payments.domain.operation import Cause, Kind, Operation, first_operation
from paybridge.payments.domain.payment import Payment, PaymentOrder, Status, new_payment

NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)
PAYMENT_ID, OPERATION_ID = UUID(int=1), UUID(int=2)
# Three decimal places, so that no place is lost.
HELD: Payment = replace(
    new_payment(
        PaymentOrder(amount_minor=100_500, currency="KWD", capture="manual"),
        id_=PAYMENT_ID,
        merchant_id=UUID(int=3),
        correlation_id="c",
        now=NOW,
    ),
    status=Status.REQUIRES_CAPTURE,
    authorized_minor=100_500,
)
EXPIRED = replace(HELD, status=Status.CANCELED, failure_code="authorization_expired")


def operation(kind: Kind, amount_minor: int = 100_500, cause: Cause = Cause.MERCHANT) -> Operation:
    return replace(
        first_operation(HELD, "default", NOW), id=OPERATION_ID, kind=kind, amount_minor=amount_minor, cause=cause
    )


class TestOperationFact:
    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION])
    def test_the_first_operation_has_its_amount(self, kind: Kind) -> None:
        assert operation_fact(operation(kind), HELD) == fact(kind, "100.500")

    def test_a_capture_also_says_what_is_held_no_more(self) -> None:
        captured = replace(HELD, status=Status.SUCCEEDED, captured_minor=7)
        assert operation_fact(operation(Kind.CAPTURE, 7), captured) == {
            **fact(Kind.CAPTURE, "0.007"),
            "authorized": "100.500",
        }

    def test_a_declined_capture_says_the_same(self) -> None:
        failed = replace(HELD, status=Status.FAILED, failure_code="card_declined")
        assert operation_fact(operation(Kind.CAPTURE, 7), failed)["authorized"] == "100.500"

    def test_a_capture_that_came_too_late_found_everything_released(self) -> None:
        assert operation_fact(operation(Kind.CAPTURE, 7), EXPIRED) == {
            **fact(Kind.VOID, "100.500"),
            "operation_id": None,
        }

    @pytest.mark.parametrize("payment", [EXPIRED, replace(HELD, status=Status.CANCELED)])
    def test_a_void_releases_all_that_was_held(self, payment: Payment) -> None:
        assert operation_fact(operation(Kind.VOID), payment) == fact(Kind.VOID, "100.500")


class TestReturnedReason:
    @pytest.mark.parametrize(
        ("kind", "cause", "reason"),
        [
            (Kind.REFUND, Cause.PARTIAL_APPROVAL, "partial_approval"),
            (Kind.REFUND, Cause.CHARGED_LATE, "late"),
            (Kind.REFUND, Cause.MERCHANT, None),
            (Kind.REFUND, Cause.GATEWAY, None),
            (Kind.VOID, Cause.CHARGED_LATE, None),
            (Kind.VOID, Cause.PARTIAL_APPROVAL, None),
        ],
    )
    def test_only_refunds_of_what_settles_no_payment_have_one(
        self, kind: Kind, cause: Cause, reason: str | None
    ) -> None:
        assert returned_reason(operation(kind, cause=cause)) == reason


def fact(kind: Kind, amount: str) -> dict[str, Any]:
    return {"operation_id": str(OPERATION_ID), "type": kind, "amount": amount, "taken_back": False}
