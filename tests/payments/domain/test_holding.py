"""What a merchant may do with a payment before its money is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.holding import UNCHARGED, begin_cancellation, begin_capture, cancel_uncharged
from paybridge.payments.domain.payment import (
    TRANSITIONS,
    Payment,
    PaymentOrder,
    Status,
    capturable_minor,
    is_settled,
    new_payment,
    payment_view,
)
from paybridge.payments.domain.refusal import OrderRefusal

NOW = datetime(2026, 4, 17, 12, tzinfo=UTC)
OPERATION = UUID(int=7)

amounts = st.integers(1, 10**15 - 1)


def payment(**changes: Any) -> Payment:
    """A payment of 100.00 EUR that waits for its capture."""
    made = new_payment(
        PaymentOrder(amount_minor=10_000, currency="EUR", capture="manual"),
        id_=UUID(int=1),
        merchant_id=UUID(int=2),
        correlation_id="c",
        now=NOW,
    )
    held = {"status": Status.REQUIRES_CAPTURE, "authorized_minor": 10_000, "capture_before": NOW + timedelta(days=7)}
    return replace(made, **{**held, **changes})


def refused(outcome: Payment | OrderRefusal) -> OrderRefusal:
    assert isinstance(outcome, OrderRefusal)
    return outcome


class TestBeginCapture:
    @given(authorized=amounts, asked=amounts | st.none())
    def test_reserves_no_more_than_was_authorized(self, authorized: int, asked: int | None) -> None:
        before = payment(amount_minor=authorized, authorized_minor=authorized)
        after = begin_capture(before, asked, OPERATION, NOW)
        if asked is not None and asked > authorized:
            assert refused(after).code == "amount_exceeds_capturable"
            return
        assert isinstance(after, Payment)
        assert after.capturing_minor == (authorized if asked is None else asked)
        assert capturable_minor(after) + after.capturing_minor == authorized
        assert (after.status, after.captured_minor, after.version) == (before.status, 0, before.version + 1)

    def test_shows_the_operation(self) -> None:
        after = begin_capture(payment(), 8_000, OPERATION, NOW)
        assert isinstance(after, Payment)
        assert not is_settled(after)
        assert payment_view(after)["pending_operation"] == {
            "type": "capture",
            "operation_id": str(OPERATION),
            "amount": "80.00",
            "created_at": "2026-04-17T12:00:00.000000+00:00",
        }

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_is_too_late_once_the_authorization_has_expired(self, seconds: int) -> None:
        refusal = refused(begin_capture(payment(capture_before=NOW + timedelta(seconds=seconds)), None, OPERATION, NOW))
        assert refusal.code == "payment_not_capturable"
        assert f"expired at 2026-04-17T{12 + seconds // 60:02}:" in refusal.detail

    def test_says_when_a_payment_that_was_canceled_for_it_expired(self) -> None:
        canceled = payment(status=Status.CANCELED, failure_code="authorization_expired", capture_before=NOW)
        assert "expired at 2026-04-17T12:00:00" in refused(begin_capture(canceled, None, OPERATION, NOW)).detail

    @pytest.mark.parametrize("status", sorted(set(Status) - {Status.REQUIRES_CAPTURE}))
    @pytest.mark.parametrize("capture", ["automatic", "manual"])
    def test_needs_a_payment_that_waits_for_it(self, status: Status, capture: str) -> None:
        refusal = refused(begin_capture(payment(status=status, capture=capture), None, OPERATION, NOW))
        assert (refusal.code, refusal.field_name) == ("payment_not_capturable", None)

    @pytest.mark.parametrize("pending", ["capture", "cancel"])
    def test_waits_for_what_is_under_way(self, pending: str) -> None:
        busy = payment(pending_operation=pending)
        assert refused(begin_capture(busy, None, OPERATION, NOW)).code == "operation_in_progress"
        assert refused(begin_cancellation(busy, OPERATION, NOW)).code == "operation_in_progress"


class TestCancel:
    def test_releases_all_that_is_held(self) -> None:
        after = begin_cancellation(payment(), OPERATION, NOW)
        assert isinstance(after, Payment)
        view = payment_view(after)
        assert (view["pending_operation"]["type"], view["pending_operation"]["amount"]) == ("cancel", "100.00")
        assert (after.status, after.capturing_minor) == (Status.REQUIRES_CAPTURE, 0)

    def test_is_possible_after_expiry(self) -> None:
        assert isinstance(begin_cancellation(payment(capture_before=NOW), OPERATION, NOW), Payment)

    @pytest.mark.parametrize("status", sorted(set(Status) - UNCHARGED - {Status.REQUIRES_CAPTURE}))
    def test_never_guesses_about_money(self, status: Status) -> None:
        code = refused(begin_cancellation(payment(status=status), OPERATION, NOW)).code
        assert code == ("operation_in_progress" if status is Status.PROCESSING else "payment_not_cancelable")

    @pytest.mark.parametrize(
        ("status", "advice"),
        [
            (Status.SUCCEEDED, "Refund it instead."),
            (Status.PARTIALLY_REFUNDED, "Refund it instead."),
            (Status.REFUNDED, "nothing left to cancel."),
            (Status.FAILED, "nothing left to cancel."),
            (Status.CANCELED, "nothing left to cancel."),
        ],
    )
    def test_a_refusal_says_what_to_do_with_this_payment(self, status: Status, advice: str) -> None:
        assert refused(begin_cancellation(payment(status=status), OPERATION, NOW)).detail.endswith(advice)

    @pytest.mark.parametrize("status", sorted(UNCHARGED))
    def test_of_what_was_not_charged_ends_the_payment(self, status: Status) -> None:
        assert Status.CANCELED in TRANSITIONS[status]
        before = payment(status=status, authorized_minor=0, capture_before=None, last_sequence=4)
        after = cancel_uncharged(before, "Changed my mind", NOW + timedelta(seconds=1))
        assert (after.status, after.failure_code, after.failure_message) == (Status.CANCELED, None, "Changed my mind")
        assert (after.last_sequence, after.version, is_settled(after)) == (5, before.version + 1, True)
