"""A webhooks process killed at each step: every endpoint gets the event, under one `webhook-id`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import orjson
import pytest

from local.testkit.local_servers import running_sink
from local.testkit.payments import WEBHOOK_SECRET
from local.testkit.servers import address_of
from local.testkit.webhooks import DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement
from paybridge.webhooks.change_endpoint import change_endpoint
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.webhooks.http import HttpWebhookSender
from paybridge.webhooks.sweep import sweep_webhooks
from tests.faults.deliver_and_die import STEPS

pytestmark = [pytest.mark.integration, pytest.mark.faults]

REPOSITORY = Path(__file__).resolve().parents[2]
CLOCK, IDS = SystemClock(), Uuid7Ids()
ENDPOINTS = 3
_STATES = Statement("SELECT status FROM webhook_deliveries WHERE event_id = :id::uuid")
_OUTDATE = Statement("""
    UPDATE webhook_deliveries SET created_at = created_at - interval '1 hour' WHERE event_id = :id::uuid
""")
_OUTDATE_ATTEMPTS = Statement("""
    UPDATE webhook_attempts a SET started_at = a.started_at - interval '1 hour'
    FROM webhook_deliveries d WHERE d.id = a.delivery_id AND d.event_id = :id::uuid
""")


class Place(NamedTuple):
    """A merchant with endpoints at a sink, and an event that they and the payment's own URL want."""

    world: DeliveryWorld
    sink: str
    event: Event
    paths: list[str]

    def received(self) -> Counter[str]:
        """How often each path got the event, which must be signed and under the event's id."""
        got = httpx.get(f"{self.sink}/received", trust_env=False, timeout=30).json()
        assert all(each["verified"] and each["headers"]["webhook-id"] == str(self.event.id) for each in got)
        return Counter(each["path"] for each in got)

    def states(self) -> list[str]:
        """The states of the event's deliveries."""
        return [row[0] for row in self.world.database.run(_STATES, id=self.event.id)]


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    with ExitStack() as stack:
        address = address_of(database_url)
        sender = HttpWebhookSender(local_networks=LOOPBACK)
        world = DeliveryWorld(address, sender, "")
        stack.callback(world.close)
        merchant_id = world.merchant()
        order = EndpointOrder(url="https://later.example/x", events=("payment.*",))
        created = [create_endpoint(world.database, CLOCK, IDS, merchant_id, order) for _ in range(ENDPOINTS)]
        made = [each for each in created if each is not None]
        sink = stack.enter_context(running_sink(WEBHOOK_SECRET, *(each.secret for each in made)))
        paths = [f"/endpoint-{number}" for number in range(ENDPOINTS)]
        for each, path in zip(made, paths, strict=True):
            change_endpoint(world.database, CLOCK, IDS, merchant_id, each.endpoint.id, {"url": sink + path})
        yield Place(world, sink, world.event(merchant_id, f"{sink}/own"), [*paths, "/own"])


def kill_at(step: str, database_url: str, *messages: Event) -> None:
    """Let a process take the messages as one batch, and die at the step."""
    bodies = [orjson.dumps(message.envelope()).decode() for message in messages]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.faults.deliver_and_die", database_url, step, *bodies],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["functions", "layers/paybridge", "."])},
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL


async def deliver(place: Place, *messages: Event) -> None:
    async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
        await place.world.deliver(*messages, sender=sender)


@pytest.mark.parametrize("step", STEPS)
async def test_the_message_that_comes_again_reaches_every_endpoint(place: Place, database_url: str, step: str) -> None:
    await asyncio.to_thread(kill_at, step, database_url, place.event)
    before = place.received()
    await deliver(place, place.event)
    after = place.received()
    assert sorted(after) == sorted(place.paths)
    # What was sent and not recorded is sent once more. What was recorded is not.
    again = {path for path in place.paths if after[path] > 1}
    assert again == (set(before) if step == "sent" else set())
    assert all(count <= 2 for count in after.values())
    assert set(place.states()) == {"delivered"}


@pytest.mark.parametrize("step", STEPS)
async def test_the_sweep_finds_what_no_message_brings_again(place: Place, database_url: str, step: str) -> None:
    await asyncio.to_thread(kill_at, step, database_url, place.event)
    for statement in (_OUTDATE, _OUTDATE_ATTEMPTS):
        place.world.database.run(statement, id=place.event.id)
    swept = sweep_webhooks(place.world.database, CLOCK, IDS, 600)
    ours = [each for each in swept.deliveries if each.payment_id == place.event.payment_id]
    assert len(ours) == len([state for state in place.states() if state == "pending"])
    commands = [entry.message for entry in place.world.outbox(place.event) if entry.message.type == DELIVER_WEBHOOK]
    await deliver(place, *commands)
    assert sorted(place.received()) == sorted(place.paths)
    assert set(place.states()) == {"delivered"}
