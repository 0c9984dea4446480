"""Events through the whole stack, up to a queue that a rule of the EventBridge bus feeds."""

from __future__ import annotations

import pytest

from local.servers import event_bus
from local.stack.seed import EVENT_BUS
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant

pytestmark = [pytest.mark.e2e, pytest.mark.broker]


def test_another_system_gets_the_event_that_the_api_shows(stack: Stack, demo: Merchant) -> None:
    with event_bus.watch(stack.settings, EVENT_BUS, "e2e-event-bridge") as watched:
        payment_id = demo.pay(payment_method="tok_success")
        demo.settled(payment_id)
        arrived: list[dict[str, object]] = []

        def of_payment() -> list[dict[str, object]]:
            arrived.extend(watched.take())
            return [each for each in arrived if dict(each["detail"])["subject"] == payment_id]  # type: ignore[call-overload]

        delivered = live.eventually(of_payment, "the event on the bus")[0]
    assert (delivered["source"], delivered["detail-type"]) == ("paybridge", "payment.succeeded")
    detail = delivered["detail"]
    answer = demo.client.get(
        f"{demo.api_url}/api/v1/events/{detail['id']}",  # type: ignore[index]
        headers={"X-API-Key": demo.api_key},
    )
    shown = answer.json()
    assert (detail["id"], detail["time"], detail["type"]) == (shown["event_id"], shown["created_at"], shown["type"])  # type: ignore[index]
    assert detail["data"] == {name: value for name, value in shown["data"].items() if name != "sequence"}  # type: ignore[index]
