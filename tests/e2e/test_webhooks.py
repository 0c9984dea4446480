"""Receivers that refuse, ask to wait, hang or are down, and what that costs the others."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from local.servers.processes import free_port
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.local_servers import running_sink
from local.testkit.receiver import Receiver, running_receiver

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

SCHEDULE_SECONDS = (1, 2, 4)
# What a batch window, the relay and a busy machine may add to a delay.
LATE_SECONDS_MAX = 20
SCHEDULE_SECONDS_MAX = sum(SCHEDULE_SECONDS) + (len(SCHEDULE_SECONDS) + 1) * LATE_SECONDS_MAX
HANGING, DEAD, OTHERS = 40, 20, 10


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    """A sink for this module alone: what its paths refuse would make the stack's own sink a slow receiver."""
    with running_sink() as url:
        yield url


@pytest.fixture(scope="module")
def payments(demo: Merchant, sink: str) -> dict[str, str]:
    """The id of a payment for each kind of refusal, all processed at the same time."""
    paths = {
        "refused": "/status/500",
        "redirected": "/redirect?to=/ok/elsewhere",
        "gone": "/gone",
        "asked": "/retry-after/3",
        "recovered": "/fail-times/2/a",
    }
    return {name: demo.pay(webhook_url=f"{sink}{path}") for name, path in paths.items()}


def entry(demo: Merchant, payment_id: str, kind: str, **details: Any) -> dict[str, Any]:
    """Wait for an entry of this type with these details in the timeline, and return it."""

    def look() -> dict[str, Any] | None:
        return next(
            (
                found
                for found in demo.timeline(payment_id)
                if found["type"] == kind and details.items() <= found["details"].items()
            ),
            None,
        )

    return live.eventually(look, f"{kind} {details} of {payment_id}", SCHEDULE_SECONDS_MAX)


def gaps_seconds(requests: list[dict[str, Any]]) -> list[float]:
    moments = [datetime.fromisoformat(request["received_at"]) for request in requests]
    return [(after - before).total_seconds() for before, after in itertools.pairwise(moments)]


@pytest.mark.parametrize("name", ["refused", "redirected"])
def test_tries_again_by_the_schedule_and_then_gives_up(
    demo: Merchant, sink: str, payments: dict[str, str], name: str
) -> None:
    payment_id = payments[name]
    entry(demo, payment_id, "webhook.exhausted")
    requests = live.received(sink, payment_id)
    gaps = gaps_seconds(requests)
    assert len(gaps) == len(SCHEDULE_SECONDS)
    for gap, scheduled in zip(gaps, SCHEDULE_SECONDS, strict=True):
        assert scheduled - 0.05 <= gap <= scheduled + LATE_SECONDS_MAX
    assert all(request["verified"] for request in requests)
    assert len({request["headers"]["webhook-id"] for request in requests}) == 1
    assert len({request["headers"]["webhook-timestamp"] for request in requests}) > 1
    assert [request["body"] for request in requests] == [requests[0]["body"]] * 4
    assert {request["path"] for request in requests} <= {"/status/500", "/redirect"}
    assert demo.get(payment_id)["status"] == "succeeded"


def test_stops_when_the_receiver_has_what_it_wants(demo: Merchant, sink: str, payments: dict[str, str]) -> None:
    entry(demo, payments["recovered"], "webhook.attempt_delivered", number=3)
    assert len(live.received(sink, payments["recovered"])) == 3


def test_waits_as_long_as_the_receiver_asks(demo: Merchant, sink: str, payments: dict[str, str]) -> None:
    entry(demo, payments["asked"], "webhook.attempt_delivered")
    (gap,) = gaps_seconds(live.received(sink, payments["asked"]))
    assert 2.95 <= gap <= 3 + LATE_SECONDS_MAX


def test_410_is_the_last_attempt(demo: Merchant, sink: str, payments: dict[str, str]) -> None:
    entry(demo, payments["gone"], "webhook.attempt_failed", response_status=410)
    # The attempts of the others, later ones among them, have come and gone meanwhile.
    entry(demo, payments["refused"], "webhook.exhausted")
    assert len(live.received(sink, payments["gone"])) == 1


def pay_and_time(merchant: Merchant, receiver: Receiver) -> tuple[list[str], float]:
    """Make some payments and return their ids, and the seconds until the receiver has got all of their webhooks."""
    wanted = len(receiver.requests) + OTHERS
    began = time.monotonic()
    payment_ids = [merchant.pay(webhook_url=receiver.url) for _ in range(OTHERS)]
    live.eventually(lambda: len(receiver.requests) >= wanted, "the other merchant's webhooks", 60)
    return payment_ids, max(request.at for request in receiver.requests) - began


def test_hanging_and_dead_receivers_delay_nobody_else(stack: Stack, demo: Merchant, other: Merchant) -> None:
    dead = f"http://127.0.0.1:{free_port()}/dead"
    with running_receiver() as undisturbed:
        # The baseline, while nothing hangs. It has a receiver of its own, because `prompt` must have no history.
        _, calm = pay_and_time(other, undisturbed)
    with running_receiver(hanging=True) as hanging, running_receiver() as prompt:
        stuck = [demo.pay(webhook_url=f"{hanging.url}/hang") for _ in range(HANGING)]
        stuck += [demo.pay(webhook_url=dead) for _ in range(DEAD)]
        live.eventually(lambda: hanging.requests, "the hanging receiver is asked")
        # The first batch may have met the hanging receiver's short deadline; from now on its name is known.
        prompted, first = pay_and_time(other, prompt)
        more, then = pay_and_time(other, prompt)
        assert (first - calm < 10, then - calm < 6) == (True, True), (calm, first, then)
        assert {demo.settled(payment_id)["status"] for payment_id in stuck} == {"succeeded"}
        assert {other.get(payment_id)["status"] for payment_id in prompted + more} == {"succeeded"}
        # Nothing that the merchant's own receivers owe him has been given up for the others' sake.
        hanging.open.set()
        for payment_id in stuck[:HANGING]:
            entry(demo, payment_id, "webhook.attempt_delivered")
