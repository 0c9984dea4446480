"""E-mails and SMS through the whole stack, up to what the AWS fake was given."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from local.commands.demo import run
from local.stack.seed import DEMO_EMAIL, DEMO_PHONE, NOTIFICATION_SENDER
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


def given(stack: Stack) -> dict[str, Any]:
    """Return what the AWS fake has been given."""
    data: dict[str, Any] = httpx.get(f"{stack.urls.aws}/moto-api/data.json", trust_env=False, timeout=30).json()
    return data


def mails_about(stack: Stack, subject_id: str) -> list[dict[str, Any]]:
    return [each for each in given(stack)["ses"].get("RawMessage", []) if subject_id in each["raw_data"]]


def sms_about(stack: Stack, payment_id: str) -> list[dict[str, Any]]:
    return [each for each in given(stack)["sns"].get("SMS", []) if payment_id in each["message"]]


def refund(demo: Merchant, payment_id: str) -> str:
    answer = demo.client.post(
        f"{demo.api_url}/api/v1/payments/{payment_id}/refunds",
        json={"amount": "30.00"},
        headers={"X-API-Key": demo.api_key, "Idempotency-Key": str(uuid.uuid4())},
    )
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return str(answer.json()["refund_id"])


def test_a_refund_is_told_by_email_and_by_sms_and_the_timeline_says_why(stack: Stack, demo: Merchant) -> None:
    payment_id = demo.pay(payment_method="tok_success")
    demo.settled(payment_id)
    refund_id = refund(demo, payment_id)
    (mail,) = live.eventually(lambda: mails_about(stack, refund_id), f"the e-mail about {refund_id}")
    assert mail["source"] == NOTIFICATION_SENDER
    assert DEMO_EMAIL in mail["destinations"]
    assert "Subject: Refund of 30.00 RUB succeeded" in mail["raw_data"]
    (sms,) = live.eventually(lambda: sms_about(stack, payment_id), "the SMS")
    assert sms["message"] == f"Demo: Refund of 30.00 RUB succeeded. {payment_id}"
    assert sms["phone_number"] == DEMO_PHONE
    # The payment itself was not chosen.
    assert [each for each in mails_about(stack, payment_id) if refund_id not in each["raw_data"]] == []

    sent = live.eventually(
        lambda: (
            (found := [each for each in demo.timeline(payment_id) if each["type"] == "notification.sent"])
            and len(found) == 2
            and found
        ),
        "both in the timeline",
    )
    assert {each["details"]["provider_message_id"] for each in sent} == {mail["id"], sms["message_id"]}
    patterns = [each["details"].get("pattern") for each in demo.timeline(payment_id) if "scheduled" in each["type"]]
    assert [pattern for pattern in patterns if pattern] == ["refund.succeeded"] * 2


def test_the_demo_shows_both(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    run(stack.settings)
    shown = capsys.readouterr().out
    assert f"✓ e-mail to {DEMO_EMAIL}, chosen by refund.succeeded: Refund of 30.00 RUB succeeded\n" in shown
    assert f"✓ SMS to {DEMO_PHONE}, chosen by refund.succeeded: Demo: Refund of 30.00 RUB succeeded. " in shown
