"""An endpoint is changed while webhooks are on their way to it: what is sent next follows, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

import orjson
import pytest

from local.testkit.webhooks import DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.webhooks.change_endpoint import change_endpoint, delete_endpoint
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.domain.endpoint import DisabledReason, Endpoint, EndpointStatus
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.read_endpoints import read_endpoint
from tests.support.webhook_senders import answered

pytestmark = pytest.mark.integration

CLOCK, IDS = SystemClock(), Uuid7Ids()
OLD, NEW = "https://old.example/x", "https://new.example/x"
_STATES = Statement("SELECT status FROM webhook_deliveries WHERE event_id = :id::uuid")
_COMMANDS = Statement("SELECT body FROM outbox WHERE payment_id = :id::uuid AND type = :type::text ORDER BY id")
_EVENTS = Statement("SELECT type FROM outbox WHERE subject_id = :id::uuid AND sequence IS NOT NULL ORDER BY sequence")
_MAKE_DUE = Statement("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at > now()")


class ChangingSender:
    """Changes the endpoint while the first webhook is on its way, which is answered so; the others are taken."""

    def __init__(self, change: Callable[[], object], status: int) -> None:
        self._change = change
        self._status = status
        self.sent: list[tuple[str, str]] = []

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """Answer without sending."""
        self.sent.append((url, headers["webhook-id"]))
        if len(self.sent) > 1:
            return answered(200)
        self._change()
        return answered(self._status)


class Flight:
    """An event on its way to an endpoint, which another process changes meanwhile."""

    def __init__(self, world: DeliveryWorld) -> None:
        self.world = world
        self.merchant_id = world.merchant()
        created = create_endpoint(
            world.database, CLOCK, IDS, self.merchant_id, EndpointOrder(url=OLD, events=("payment.*",))
        )
        assert created is not None
        self.id: UUID = created.endpoint.id
        self.event: Event = world.event(self.merchant_id, None)

    def change(self, **changes: Any) -> None:
        """Change the endpoint in another process."""
        with closing(Database(self.world.address)) as database:
            assert change_endpoint(database, CLOCK, IDS, self.merchant_id, self.id, changes) is not None

    def delete(self) -> None:
        """Delete the endpoint in another process."""
        with closing(Database(self.world.address)) as database:
            assert delete_endpoint(database, CLOCK, self.merchant_id, self.id)

    async def fly(self, change: Callable[[], object], status: int) -> ChangingSender:
        """Deliver the event to the endpoint, which is changed meanwhile and answers so."""
        sender = ChangingSender(change, status)
        await self.world.deliver(self.event, sender=sender)
        return sender

    async def go_on(self, sender: ChangingSender) -> list[tuple[str, str]]:
        """Carry out all commands about the event; return what was sent since the change."""
        self.world.database.run(_MAKE_DUE)
        rows = self.world.database.run(_COMMANDS, id=self.event.payment_id, type=DELIVER_WEBHOOK)
        await self.world.deliver(*(parse_envelope(orjson.loads(body)) for (body,) in rows), sender=sender)
        return sender.sent[1:]

    @property
    def state(self) -> str:
        """The state of the delivery."""
        [[state]] = self.world.database.run(_STATES, id=self.event.id)
        found: str = state
        return found

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint as it is now."""
        found = read_endpoint(self.world.database, self.merchant_id, self.id)
        assert found is not None
        return found

    def events(self) -> list[str]:
        """The events of the endpoint."""
        return [row[0] for row in self.world.database.run(_EVENTS, id=self.id)]


@pytest.fixture
def flight(world: DeliveryWorld) -> Flight:
    return Flight(world)


class TestDeleted:
    @pytest.mark.parametrize(("status", "state"), [(200, "delivered"), (500, "canceled"), (410, "gone")])
    async def test_the_answer_counts_and_nothing_more_is_sent(self, flight: Flight, status: int, state: str) -> None:
        sender = await flight.fly(flight.delete, status)
        assert await flight.go_on(sender) == []
        assert flight.state == state
        assert read_endpoint(flight.world.database, flight.merchant_id, flight.id) is None


class TestDeselected:
    async def test_it_is_not_tried_again(self, flight: Flight) -> None:
        sender = await flight.fly(lambda: flight.change(events=("refund.*",)), 500)
        assert (await flight.go_on(sender), flight.state) == ([], "canceled")


class TestDisabled:
    async def test_what_failed_waits_until_it_is_enabled(self, flight: Flight) -> None:
        sender = await flight.fly(lambda: flight.change(status="disabled"), 500)
        assert (await flight.go_on(sender), flight.state) == ([], "pending")
        flight.change(status="enabled")
        assert await flight.go_on(sender) == [(OLD, str(flight.event.id))]
        assert flight.state == "delivered"

    async def test_what_was_taken_is_delivered(self, flight: Flight) -> None:
        sender = await flight.fly(lambda: flight.change(status="disabled"), 200)
        assert (await flight.go_on(sender), flight.state) == ([], "delivered")

    async def test_an_answer_410_does_not_disable_it_twice(self, flight: Flight) -> None:
        await flight.fly(lambda: flight.change(status="disabled"), 410)
        assert (flight.state, flight.events()) == ("gone", ["webhook_endpoint.disabled"])
        assert flight.endpoint.disabled_reason is DisabledReason.MERCHANT


class TestMoved:
    @pytest.mark.parametrize("status", [500, 410])
    async def test_what_the_old_url_refused_goes_to_the_new_one(self, flight: Flight, status: int) -> None:
        sender = await flight.fly(lambda: flight.change(url=NEW), status)
        assert flight.state == "pending"
        assert await flight.go_on(sender) == [(NEW, str(flight.event.id))]
        assert flight.state == "delivered"

    @pytest.mark.parametrize("status", [500, 410])
    async def test_the_old_urls_answer_is_not_held_against_the_new_one(self, flight: Flight, status: int) -> None:
        await flight.fly(lambda: flight.change(url=NEW), status)
        endpoint = flight.endpoint
        assert (endpoint.status, endpoint.first_failure_at) == (EndpointStatus.ENABLED, None)
        assert flight.events() == []

    async def test_what_the_old_url_took_is_not_sent_again(self, flight: Flight) -> None:
        sender = await flight.fly(lambda: flight.change(url=NEW), 200)
        assert (await flight.go_on(sender), flight.state) == ([], "delivered")
