"""Reading Stripe's notices."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.testkit.stripe import account
from local.testkit.stripe.account import Account
from local.testkit.stripe.server import WEBHOOK_SECRET, sign
from paybridge.payments.domain.notice import Claim, NoticeMalformed, NoticeRefused
from paybridge.payments.gateways.stripe_notices import read_stripe_notice

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
OTHER_SECRET = "whsec_another"
PAYMENT, CAPTURE, REFUND = (uuid.uuid4() for _ in range(3))


def event(type_: Any = "refund.failed", about: Any = None, id_: Any = "evt_1") -> bytes:
    return json.dumps({"id": id_, "object": "event", "type": type_, "data": {"object": about}}).encode()


def signed(body: bytes, *secrets: str, at: datetime = NOW, scheme: str = "v1") -> dict[str, str]:
    return {"stripe-signature": sign(body, int(at.timestamp()), *(secrets or [WEBHOOK_SECRET]), scheme=scheme)}


def claims_of(events: list[dict[str, Any]]) -> dict[str, tuple[uuid.UUID | None, Claim]]:
    """What the newest event of each type says."""
    notices = [
        read_stripe_notice([WEBHOOK_SECRET], signed(body), body, NOW)
        for body in (json.dumps(each).encode() for each in events)
    ]
    return {notice.type: (notice.operation_id, notice.claim) for notice in notices}


class TestSignature:
    def test_the_example_of_a_published_library(self) -> None:
        """Signed by Stripe's own library for Python."""
        body = b'{"id": "evt_test_webhook", "object": "event", "type": "ping", "data": {"object": {}}}'
        header = "t=1795953600,v1=f868444c82f2beb5de5b4561d2453810e25f3effb090d1dc5fb265b0dc0e828c"
        notice = read_stripe_notice(["whsec_test_secret"], {"stripe-signature": header}, body, NOW)
        assert notice.id == "evt_test_webhook"

    def test_one_secret_and_one_signature_of_several_are_enough(self) -> None:
        """While the secret is rolled, Stripe signs with the old and the new one."""
        body = event()
        for ours, theirs in (
            ([OTHER_SECRET, WEBHOOK_SECRET], [WEBHOOK_SECRET]),
            ([WEBHOOK_SECRET], [OTHER_SECRET, WEBHOOK_SECRET]),
        ):
            assert read_stripe_notice(ours, signed(body, *theirs), body, NOW).id == "evt_1"

    def test_signatures_of_other_schemes_are_passed_over(self) -> None:
        body = event()
        both = signed(body)["stripe-signature"] + ",v0=" + "0" * 64
        assert read_stripe_notice([WEBHOOK_SECRET], {"stripe-signature": both}, body, NOW).id == "evt_1"
        with pytest.raises(NoticeRefused, match="is needed"):
            read_stripe_notice([WEBHOOK_SECRET], signed(body, scheme="v0"), body, NOW)

    @pytest.mark.parametrize("secrets", [[], [OTHER_SECRET]])
    def test_another_secret_is_refused(self, secrets: list[str]) -> None:
        with pytest.raises(NoticeRefused, match="not Stripe's"):
            read_stripe_notice(secrets, signed(event()), event(), NOW)

    def test_a_changed_body_is_refused(self) -> None:
        with pytest.raises(NoticeRefused):
            read_stripe_notice([WEBHOOK_SECRET], signed(event()), event("refund.updated"), NOW)

    def test_the_time_is_signed_too(self) -> None:
        header = signed(event())["stripe-signature"]
        later = header.replace(f"t={int(NOW.timestamp())}", f"t={int(NOW.timestamp()) + 1}")
        assert later != header
        with pytest.raises(NoticeRefused, match="not Stripe's"):
            read_stripe_notice([WEBHOOK_SECRET], {"stripe-signature": later}, event(), NOW)

    @pytest.mark.parametrize(("seconds", "is_taken"), [(-301, False), (-300, True), (300, True), (301, False)])
    def test_one_of_more_than_five_minutes_ago_is_refused(self, seconds: int, is_taken: bool) -> None:
        headers = signed(event(), at=NOW + timedelta(seconds=seconds))
        if is_taken:
            assert read_stripe_notice([WEBHOOK_SECRET], headers, event(), NOW).id == "evt_1"
        else:
            with pytest.raises(NoticeRefused, match="within the last minutes"):
                read_stripe_notice([WEBHOOK_SECRET], headers, event(), NOW)

    @pytest.mark.parametrize(
        "header", ["", "t=1", "v1=00", "t=,v1=00", "t=1,t=2,v1=00", "t=-1,v1=00", "t=١,v1=00", "t=1;v1=00", "t=1,v1"]
    )
    def test_a_malformed_header_is_refused(self, header: str) -> None:
        with pytest.raises(NoticeRefused):
            read_stripe_notice([WEBHOOK_SECRET], {"stripe-signature": header}, event(), NOW)

    def test_two_times_are_ambiguous(self) -> None:
        header = signed(event())["stripe-signature"]
        for both in (f"{header},t=1", f"t=1,{header}"):
            with pytest.raises(NoticeRefused, match="is needed"):
                read_stripe_notice([WEBHOOK_SECRET], {"stripe-signature": both}, event(), NOW)

    @given(st.text() | st.text().map("t=1,v1={}".format))
    def test_nonsense_is_refused(self, header: str) -> None:
        with pytest.raises(NoticeRefused):
            read_stripe_notice([WEBHOOK_SECRET], {"stripe-signature": header}, b"{}", NOW)

    def test_the_header_is_needed(self) -> None:
        with pytest.raises(NoticeRefused):
            read_stripe_notice([WEBHOOK_SECRET], {}, event(), NOW)


class TestContent:
    """The events are those that an account emits while it works."""

    stripe: Account

    @pytest.fixture(autouse=True)
    def _account(self) -> None:
        self.stripe = Account()

    def pay(self, method: str = account.SUCCESS, capture_method: str = "automatic") -> dict[str, Any]:
        """Confirm a PaymentIntent, which may be declined."""
        form = {
            "amount": 10050,
            "currency": "eur",
            "payment_method": method,
            "capture_method": capture_method,
            "confirm": True,
            "metadata": {"operation_id": str(PAYMENT), "payment_id": str(PAYMENT)},
        }
        return self.stripe.create_intent(form)

    def test_a_charge(self) -> None:
        self.pay()
        claims = claims_of(self.stripe.events)
        assert claims["payment_intent.created"] == (PAYMENT, Claim.OTHER)
        assert claims["payment_intent.succeeded"] == (PAYMENT, Claim.DONE)

    def test_a_charge_that_is_decided_later(self) -> None:
        self.pay(account.SLOW_FAILURE)
        assert claims_of(self.stripe.events)["payment_intent.processing"] == (PAYMENT, Claim.OTHER)
        self.stripe.let_time_pass()
        assert claims_of(self.stripe.events)["payment_intent.payment_failed"] == (PAYMENT, Claim.FAILED)

    def test_a_capture(self) -> None:
        intent = self.pay(capture_method="manual")
        assert claims_of(self.stripe.events)["payment_intent.amount_capturable_updated"] == (PAYMENT, Claim.DONE)
        self.stripe.capture(intent["id"], {"metadata": {"capture_operation_id": str(CAPTURE)}})
        assert claims_of(self.stripe.events)["payment_intent.succeeded"] == (CAPTURE, Claim.DONE)

    def test_an_authorization_that_expires(self) -> None:
        self.pay(account.SHORT_HOLD, capture_method="manual")
        self.stripe.let_time_pass()
        claims = claims_of(self.stripe.events)
        assert claims["charge.expired"] == (PAYMENT, Claim.FAILED)
        assert claims["payment_intent.canceled"] == (PAYMENT, Claim.FAILED)

    def test_a_refund_that_is_taken_back(self) -> None:
        intent = self.pay(account.REFUND_FAILS)
        self.stripe.create_refund({"payment_intent": intent["id"], "metadata": {"operation_id": str(REFUND)}})
        claims = claims_of(self.stripe.events)
        assert claims["refund.created"] == (REFUND, Claim.DONE)
        # That names the charge, and the refund's own event says which refund it was.
        assert claims["charge.refunded"] == (None, Claim.OTHER)
        self.stripe.let_time_pass()
        claims = claims_of(self.stripe.events)
        assert claims["refund.failed"] == claims["refund.updated"] == (REFUND, Claim.FAILED)

    def test_a_pending_refund(self) -> None:
        intent = self.pay(account.REFUND_PENDING)
        self.stripe.create_refund({"payment_intent": intent["id"], "metadata": {"operation_id": str(REFUND)}})
        assert claims_of(self.stripe.events)["refund.created"] == (REFUND, Claim.OTHER)
        self.stripe.let_time_pass()
        assert claims_of(self.stripe.events)["refund.updated"] == (REFUND, Claim.DONE)

    @pytest.mark.parametrize(
        "about",
        [
            None,
            [],
            {},
            {"metadata": None},
            {"metadata": {"operation_id": "order-7"}},
            {"metadata": {"operation_id": 7}},
        ],
    )
    def test_what_is_none_of_ours_names_no_operation(self, about: Any) -> None:
        body = event("customer.created", about)
        notice = read_stripe_notice([WEBHOOK_SECRET], signed(body), body, NOW)
        assert (notice.operation_id, notice.claim) == (None, Claim.OTHER)

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"{}", b"no json", event(7), event("A b"), event(id_=None), event(id_="a b"), event(id_="")],
    )
    def test_one_that_cannot_be_read_is_malformed(self, body: bytes) -> None:
        with pytest.raises(NoticeMalformed):
            read_stripe_notice([WEBHOOK_SECRET], signed(body), body, NOW)
