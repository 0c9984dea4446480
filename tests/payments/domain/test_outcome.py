"""What each outcome of an operation does to its payment."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from paybridge.payments.domain.attempts import Settle
from paybridge.payments.domain.operation import Cause, Kind, Operation, OperationStatus, new_operation
from paybridge.payments.domain.outcome import Effect, PaymentChange, payment_change
from paybridge.payments.domain.payment import PaymentOrder, Status, new_payment

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECONDS = 604_800.0
PAYMENT = new_payment(
    PaymentOrder(amount_minor=100, currency="EUR"),
    id_=uuid.uuid4(),
    merchant_id=uuid.uuid4(),
    correlation_id="c",
    now=NOW,
)
SUCCEEDED = Settle(OperationStatus.SUCCEEDED)
DECLINED = Settle(OperationStatus.DECLINED, "card_declined", "No.")
EXPIRED = Settle(OperationStatus.DECLINED, "authorization_expired", "Expired.")
PARTIAL = Settle(OperationStatus.PARTIAL, "partial_approval", "A part.")


def an_operation(kind: Kind, cause: Cause = Cause.MERCHANT) -> Operation:
    ordered = new_operation(Kind.REFUND, PAYMENT, 60, id_=uuid.uuid4(), correlation_id="c", now=NOW)
    return replace(ordered, kind=kind, cause=cause, reason="mine")


def after(kind: Kind, settle: Settle, cause: Cause = Cause.MERCHANT) -> PaymentChange | None:
    return payment_change(an_operation(kind, cause), settle, NOW, SECONDS)


class TestFirst:
    def test_a_charge_is_captured(self) -> None:
        wanted = PaymentChange(effect=Effect.FIRST, status=Status.SUCCEEDED, captured_minor=60)
        assert after(Kind.CHARGE, SUCCEEDED) == wanted

    @pytest.mark.parametrize(
        ("expires_at", "capture_before"),
        [
            (None, NOW + timedelta(seconds=SECONDS)),
            (NOW + timedelta(seconds=5), NOW + timedelta(seconds=5)),
            (NOW + timedelta(days=30), NOW + timedelta(seconds=SECONDS)),
        ],
    )
    def test_an_authorization_waits_for_its_capture(
        self, expires_at: datetime | None, capture_before: datetime
    ) -> None:
        change = payment_change(an_operation(Kind.AUTHORIZATION), SUCCEEDED, NOW, SECONDS, expires_at)
        assert change == PaymentChange(
            effect=Effect.FIRST,
            status=Status.REQUIRES_CAPTURE,
            authorized_minor=60,
            capture_before=capture_before,
        )

    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION])
    @pytest.mark.parametrize("settle", [DECLINED, PARTIAL])
    def test_less_than_all_fails_the_payment(self, kind: Kind, settle: Settle) -> None:
        assert after(kind, settle) == PaymentChange(
            effect=Effect.FIRST,
            status=Status.FAILED,
            failure_code=settle.failure_code,
            failure_message=settle.failure_message,
        )


class TestHold:
    def test_a_capture_takes_its_own_amount(self) -> None:
        wanted = PaymentChange(effect=Effect.HOLD, status=Status.SUCCEEDED, captured_minor=60)
        assert after(Kind.CAPTURE, SUCCEEDED) == wanted

    def test_a_declined_capture_fails_the_payment(self) -> None:
        change = after(Kind.CAPTURE, DECLINED)
        assert change is not None
        assert (change.status, change.failure_code, change.captured_minor) == (Status.FAILED, "card_declined", None)

    def test_a_capture_that_came_too_late_cancels_it(self) -> None:
        change = after(Kind.CAPTURE, EXPIRED)
        assert change is not None
        assert (change.status, change.failure_code) == (Status.CANCELED, "authorization_expired")

    @pytest.mark.parametrize(
        ("cause", "failure_code"), [(Cause.MERCHANT, None), (Cause.EXPIRY, "authorization_expired")]
    )
    def test_a_void_cancels_it(self, cause: Cause, failure_code: str | None) -> None:
        change = after(Kind.VOID, SUCCEEDED, cause)
        assert change is not None
        assert (change.effect, change.status, change.failure_code) == (Effect.HOLD, Status.CANCELED, failure_code)

    @pytest.mark.parametrize("cause", [Cause.MERCHANT, Cause.EXPIRY])
    def test_a_declined_void_leaves_the_money_held(self, cause: Cause) -> None:
        assert after(Kind.VOID, DECLINED, cause) == PaymentChange(effect=Effect.HOLD, has_event=False)


class TestRefund:
    def test_success_moves_what_was_reserved(self) -> None:
        wanted = PaymentChange(effect=Effect.REFUND, refunded_minor=60, reserved_minor=60)
        assert after(Kind.REFUND, SUCCEEDED) == wanted

    def test_a_decline_frees_it(self) -> None:
        wanted = PaymentChange(effect=Effect.REFUND, reserved_minor=60, has_event=False)
        assert after(Kind.REFUND, DECLINED) == wanted


class TestUndo:
    @pytest.mark.parametrize("kind", [Kind.VOID, Kind.REFUND])
    @pytest.mark.parametrize("cause", [Cause.PARTIAL_APPROVAL, Cause.CAPTURE_FAILED, Cause.CHARGED_LATE])
    @pytest.mark.parametrize("settle", [SUCCEEDED, DECLINED])
    def test_what_undoes_a_step_changes_nothing_of_the_payment(self, kind: Kind, cause: Cause, settle: Settle) -> None:
        assert after(kind, settle, cause) is None
