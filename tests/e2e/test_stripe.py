"""A merchant at Stripe on the whole stack: API, queue, consumer, notices, and a Stripe on loopback behind them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.servers.postgres import connect
from local.stack.seed import DEMO_API_KEY, OTHER_API_KEY
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.servers import Broker, private_settings
from local.testkit.stacks import running_stack
from local.testkit.stripe import account
from local.testkit.stripe.server import API_KEY, WEBHOOK_SECRET, FakeStripe, fake_stripe_in_a_thread, sign

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


@dataclass(frozen=True, slots=True)
class World:
    """The stack, and the Stripe that its demo merchant is at."""

    stack: Stack
    stripe: FakeStripe

    def movements(self) -> list[tuple[str, int]]:
        return [(each.kind, each.amount) for each in self.stripe.account.movements]

    def post_notice(self, event: dict[str, Any], secret: str = WEBHOOK_SECRET) -> httpx.Response:
        body = json.dumps(event).encode()
        headers = {"Stripe-Signature": sign(body, int(time.time()), secret), "Content-Type": "application/json"}
        url = f"{self.stack.urls.api}/api/v1/gateways/stripe/notices"
        return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=20)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, shared_broker: Broker | None) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("stripe")
    with fake_stripe_in_a_thread() as stripe:
        settings = replace(
            private_settings(folder),
            stripe_api_key=API_KEY,
            stripe_webhook_secret=WEBHOOK_SECRET,
            stripe_url=stripe.url,
        )
        with running_stack(settings, shared_broker) as stack:
            with closing(connect(stack.urls.postgres)) as connection:
                connection.run("UPDATE merchants SET gateway = 'stripe' WHERE name = 'Demo'")
            yield World(stack, stripe)


def refunded(demo: live.Merchant, payment_id: str, amount: str) -> dict[str, Any]:
    """The refund of this amount once it has ended."""
    headers = {"X-API-Key": demo.api_key, "Idempotency-Key": str(uuid.uuid4())}
    url = f"{demo.api_url}/api/v1/payments/{payment_id}/refunds"
    accepted = demo.client.post(url, json={"amount": amount}, headers=headers)
    assert accepted.status_code == httpx.codes.ACCEPTED, accepted.text
    location = f"{demo.api_url}/api/v1/refunds/{accepted.json()['refund_id']}"

    def look() -> dict[str, Any] | None:
        refund: dict[str, Any] = demo.client.get(location, headers={"X-API-Key": demo.api_key}).json()
        return refund if refund["status"] in {"succeeded", "failed"} else None

    return live.eventually(look, "the refund has ended")


def test_a_payment_is_charged_at_stripe_and_refunded_there(world: World) -> None:
    before = len(world.movements())
    with live.merchant(world.stack, DEMO_API_KEY) as demo:
        payment_id = demo.pay(
            currency="EUR", payment_method=account.SUCCESS, webhook_url=f"{world.stack.urls.sink}/ok/stripe"
        )
        assert demo.settled(payment_id)["status"] == "succeeded"
        assert live.webhook(world.stack.urls.sink, payment_id)["verified"]
        assert refunded(demo, payment_id, "40.00")["status"] == "succeeded"
        assert demo.get(payment_id)["amount_refunded"] == "40.00"
    assert world.movements()[before:] == [("charge", 10050), ("refund", 4000)]
    assert live.charges(world.stack.urls.gateway, payment_id) == []


def test_other_merchants_stay_at_the_simulated_gateway(world: World) -> None:
    before = len(world.movements())
    with live.merchant(world.stack, OTHER_API_KEY) as other:
        payment_id = other.pay()
        assert other.settled(payment_id)["status"] == "succeeded"
    assert len(live.charges(world.stack.urls.gateway, payment_id)) == 1
    assert len(world.movements()) == before


def test_a_decline_has_our_code(world: World) -> None:
    with live.merchant(world.stack, DEMO_API_KEY) as demo:
        payment = demo.settled(demo.pay(currency="EUR", payment_method="pm_card_chargeDeclinedLostCard"))
    assert (payment["status"], payment["failure_code"]) == ("failed", "lost_card")


def test_what_stripe_decides_later_is_settled_and_its_notice_taken(world: World) -> None:
    with live.merchant(world.stack, DEMO_API_KEY) as demo:
        payment_id = demo.pay(currency="EUR", payment_method=account.SLOW)
        intent = live.eventually(lambda: _intent_of(world.stripe, payment_id), "Stripe has the payment")
        assert intent["status"] == "processing"
        world.stripe.account.let_time_pass()
        event = next(each for each in world.stripe.account.events[::-1] if each["type"] == "payment_intent.succeeded")
        assert world.post_notice(event, "whsec_of_a_stranger").status_code == httpx.codes.UNAUTHORIZED
        assert world.post_notice(event).status_code == httpx.codes.OK
        assert demo.settled(payment_id)["status"] == "succeeded"


def test_no_secret_is_in_a_log(world: World) -> None:
    assert live.leaks(world.stack.settings.logs_dir) == []
    logs = [file.read_text(errors="replace") for file in world.stack.settings.logs_dir.rglob("*") if file.is_file()]
    assert logs
    assert not any(secret in log for log in logs for secret in (API_KEY, WEBHOOK_SECRET))


def _intent_of(stripe: FakeStripe, payment_id: str) -> dict[str, Any] | None:
    intents = list(stripe.account.intents.values())
    return next((each for each in intents if each["metadata"].get("payment_id") == payment_id), None)
