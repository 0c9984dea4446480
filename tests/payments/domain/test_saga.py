"""What undoes each step of a payment's money, and which steps may be given up."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from paybridge.payments.domain.attempts import Retry, Schedule, Settle, after_answer
from paybridge.payments.domain.gateway_answers import Fault, Unknown
from paybridge.payments.domain.operation import Cause, Kind, OperationStatus, first_operation, new_operation
from paybridge.payments.domain.payment import PaymentOrder, new_payment
from paybridge.payments.domain.saga import SAGA, undo_of
from paybridge.payments.records import Attempt

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NEVER_ARRIVED = Unknown(Fault.NO_ANSWER, "no answer", never_arrived=True)
PAYMENT = new_payment(
    PaymentOrder(amount_minor=100, currency="EUR"),
    id_=uuid.uuid4(),
    merchant_id=uuid.uuid4(),
    correlation_id="c",
    now=NOW,
)


class TestUndo:
    @pytest.mark.parametrize(
        ("kind", "outcome", "undo"),
        [
            (Kind.CHARGE, OperationStatus.PARTIAL, Kind.REFUND),
            (Kind.CHARGE, OperationStatus.SUCCEEDED, Kind.REFUND),
            (Kind.AUTHORIZATION, OperationStatus.PARTIAL, Kind.VOID),
            (Kind.AUTHORIZATION, OperationStatus.SUCCEEDED, Kind.VOID),
            (Kind.CAPTURE, OperationStatus.DECLINED, Kind.VOID),
        ],
    )
    def test_it_follows_a_known_outcome(self, kind: Kind, outcome: OperationStatus, undo: Kind) -> None:
        assert undo_of(kind, outcome) is undo

    def test_nothing_else_is_undone(self) -> None:
        undone = {(kind, outcome) for kind in Kind for outcome in OperationStatus if undo_of(kind, outcome) is not None}
        assert len(undone) == 5
        assert set(SAGA) == set(Kind) - {Kind.REFUND_REVERSAL}


class TestGivingUp:
    @pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID, Kind.REFUND])
    @pytest.mark.parametrize(
        "cause", [Cause.MERCHANT, Cause.PARTIAL_APPROVAL, Cause.CHARGED_LATE, Cause.CAPTURE_FAILED]
    )
    def test_of_later_steps_a_merchants_refund_alone_is_given_up(self, kind: Kind, cause: Cause) -> None:
        # A capture or a void that is given up leaves money held, an undo that is given up leaves it taken.
        ordered = new_operation(kind, PAYMENT, 100, id_=uuid.uuid4(), correlation_id="c", now=NOW)
        place = Attempt(PAYMENT, replace(ordered, cause=cause), 9, NOW, ask_first=True).place(NOW)
        decision = after_answer(place, NEVER_ARRIVED, Schedule((1,), (1,)))
        is_given_up = (kind, cause) == (Kind.REFUND, Cause.MERCHANT)
        assert isinstance(decision, Settle if is_given_up else Retry)

    def test_a_charge_is_given_up(self) -> None:
        place = Attempt(PAYMENT, first_operation(PAYMENT, "default", NOW), 9, NOW, ask_first=True).place(NOW)
        assert isinstance(after_answer(place, NEVER_ARRIVED, Schedule((1,), (1,))), Settle)
