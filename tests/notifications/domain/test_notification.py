"""Which notifications an event makes, and what they say."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.access.domain.contacts import MerchantContacts
from paybridge.core.events import (
    PAYOUT_SUBJECT,
    PUBLIC_TYPES,
    PUBLISHED_TYPES,
    REFUND_SUBJECT,
    WEBHOOK_ENDPOINT_SUBJECT,
    Event,
)
from paybridge.notifications.domain.notification import Channel, notification_id, notifications_of
from paybridge.notifications.domain.sms import is_sendable
from paybridge.notifications.domain.templates import email_text, sms_text

PAYMENT_ID, SUBJECT_ID = uuid.UUID(int=7), uuid.UUID(int=8)
EVENT = Event(
    id=uuid.UUID("0197b1a2-0000-7000-8000-000000000001"),
    type="payment.failed",
    payment_id=PAYMENT_ID,
    merchant_id=uuid.UUID(int=2),
    correlation_id="corr-1",
    time=datetime(2026, 11, 29, 12, tzinfo=UTC),
    sequence=3,
    data={"amount": "100.50", "currency": "EUR", "status": "failed", "failure_code": "card_declined"},
)
ACME = MerchantContacts(
    merchant_id=EVENT.merchant_id, name="Acme", email="pay@acme.example", phone="+4930123456", notify=("*",)
)
ALL = frozenset(Channel)
values = st.one_of(st.none(), st.integers(), st.text(max_size=60), st.lists(st.text(max_size=5), max_size=2))


class TestNotificationsOf:
    @given(st.sampled_from(PUBLIC_TYPES), st.sets(st.sampled_from(["*", "payment.*", "refund.*", *PUBLIC_TYPES])))
    def test_the_most_exact_pattern_is_the_reason(self, type_: str, patterns: set[str]) -> None:
        made = notifications_of(replace(EVENT, type=type_), replace(ACME, notify=tuple(patterns)), ALL)
        wanted = [each for each in (type_, f"{type_.partition('.')[0]}.*", "*") if each in patterns]
        expected = wanted[:1] * 2 if type_ in PUBLISHED_TYPES else []
        assert [each.pattern for each in made] == expected

    def test_each_channel_that_is_on_tells_its_contact(self) -> None:
        assert [(each.channel, each.contact) for each in notifications_of(EVENT, ACME, ALL)] == [
            (Channel.EMAIL, "pay@acme.example"),
            (Channel.SMS, "+4930123456"),
        ]
        assert [each.channel for each in notifications_of(EVENT, ACME, {Channel.SMS})] == [Channel.SMS]
        assert [each.channel for each in notifications_of(EVENT, replace(ACME, phone=None), ALL)] == [Channel.EMAIL]


class TestNotificationId:
    def test_it_differs_by_event_channel_and_contact_alone(self) -> None:
        ids = [
            notification_id(event, channel, contact)
            for event in (EVENT.id, uuid.UUID("0197b1a2-0000-7000-8000-000000000002"))
            for channel in Channel
            for contact in ("a", "b")
        ]
        assert len(set(ids)) == 8
        assert notification_id(EVENT.id, Channel.SMS, "a") in ids

    def test_it_falls_into_the_month_of_its_event(self) -> None:
        made = notification_id(EVENT.id, Channel.SMS, "+4930123456")
        assert made.bytes[:6] == EVENT.id.bytes[:6]
        assert made.version == 7


class TestEmailText:
    def test_it_says_what_happened_and_why_it_is_sent(self) -> None:
        text = email_text(EVENT, "Acme", "payment.*")
        assert text.title == "Payment of 100.50 EUR failed"
        assert text.body == (
            "Payment of 100.50 EUR failed.\n"
            "\n"
            "Merchant:     Acme\n"
            f"Payment:      {PAYMENT_ID}\n"
            "Status:       failed\n"
            "Failure:      card_declined\n"
            f"Event:        payment.failed, {EVENT.id}\n"
            "Time:         2026-11-29T12:00:00.000000+00:00\n"
            "\n"
            "You receive this because Acme asked to be notified of events that match payment.*.\n"
        )

    def test_a_refund_names_itself_and_its_payment(self) -> None:
        refund = replace(EVENT, type="refund.created", subject_type=REFUND_SUBJECT, subject_id=SUBJECT_ID)
        body = email_text(refund, "Acme", "*").body
        assert f"Refund:       {SUBJECT_ID}" in body
        assert f"Payment:      {PAYMENT_ID}" in body

    def test_a_payout_names_itself(self) -> None:
        payout = replace(
            EVENT,
            type="payout.paid",
            payment_id=None,
            subject_type=PAYOUT_SUBJECT,
            subject_id=SUBJECT_ID,
            data={"amount": "7.000", "currency": "KWD", "status": "paid"},
        )
        text = email_text(payout, "Acme", "payout.*")
        assert text.title == "Payout of 7.000 KWD was paid"
        assert f"Payout:       {SUBJECT_ID}" in text.body
        assert "Payment:" not in text.body

    def test_an_endpoint_names_its_host_and_hides_the_rest_of_its_url(self) -> None:
        data = {"url": "https://user:secret@hooks.example/t0ken?key=t0ken", "disabled_reason": "failing"}
        event = replace(
            EVENT,
            type="webhook_endpoint.disabled",
            payment_id=None,
            subject_type=WEBHOOK_ENDPOINT_SUBJECT,
            subject_id=SUBJECT_ID,
            data=data,
        )
        body = email_text(event, "Acme", "*").body
        assert "Host:         hooks.example" in body
        assert "Disabled for: failing" in body
        assert "secret" not in body
        assert "t0ken" not in body

    @pytest.mark.parametrize("type_", PUBLISHED_TYPES)
    def test_every_type_has_a_title_of_its_own(self, type_: str) -> None:
        titles = {email_text(replace(EVENT, type=other), "Acme", "*").title for other in PUBLISHED_TYPES}
        assert len(titles) == len(PUBLISHED_TYPES)
        assert "." not in (email_text(replace(EVENT, type=type_), "Acme", "*").title or "").replace("100.50", "")

    def test_a_type_of_a_later_release_is_named(self) -> None:
        assert email_text(replace(EVENT, type="payment.re_routed"), "Acme", "*").title == "Payment re routed"

    @given(st.dictionaries(st.sampled_from([*EVENT.data, "url", "disabled_reason"]), values), st.text(max_size=80))
    def test_no_content_adds_a_line(self, data: dict[str, object], name: str) -> None:
        text = email_text(replace(EVENT, data=data), name, "*")
        assert len((text.title or "").splitlines()) == 1
        labels = [line.partition(":")[0] for line in text.body.split("\n\n")[1].split("\n")]
        assert set(labels) <= {"Merchant", "Payment", "Status", "Failure", "Disabled for", "Event", "Time"}
        assert len(set(labels)) == len(labels)


class TestSmsText:
    def test_it_is_short(self) -> None:
        text = sms_text(EVENT, "Acme")
        assert text.body == f"Acme: Payment of 100.50 EUR failed: card_declined. {PAYMENT_ID}"

    @given(st.dictionaries(st.sampled_from([*EVENT.data]), values), st.text(max_size=300))
    def test_any_content_keeps_to_its_segments_on_one_line(self, data: dict[str, object], name: str) -> None:
        text = sms_text(replace(EVENT, data=data), name)
        assert is_sendable(text.body)
        assert len(text.body.splitlines()) == 1
