"""Webhook endpoints: who gets what, and what becomes of scheduled tries when an endpoint changes."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from local.testkit.webhooks import DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.core.standard_webhooks import is_signed_by, parse_secret
from paybridge.database.database import Database, Statement
from paybridge.webhooks.change_endpoint import change_endpoint, delete_endpoint, rotate_secret
from paybridge.webhooks.create_endpoint import EndpointOrder, NewSecret, create_endpoint
from paybridge.webhooks.domain.endpoint import ENDPOINTS_MAX, DisabledReason, Endpoint, EndpointStatus
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.read_endpoints import read_endpoint
from paybridge.webhooks.reports import DeliveryOutcome
from paybridge.webhooks.send_test import send_test
from paybridge.webhooks.store.deliveries import NewDelivery

pytestmark = pytest.mark.integration

CLOCK, IDS = SystemClock(), Uuid7Ids()
_DELIVERIES = Statement("""
    SELECT endpoint_id, url, status, attempts FROM webhook_deliveries WHERE event_id = :id::uuid ORDER BY endpoint_id
""")
_MAKE_DUE = Statement("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")
_EVENTS = Statement("""
    SELECT body FROM outbox WHERE subject_id = :id::uuid AND sequence IS NOT NULL ORDER BY sequence
""")
_COMMANDS = Statement("SELECT body FROM outbox WHERE body LIKE '%' || :id::text || '%' AND type = :type::text")
_FORGET_RECEIVERS = Statement("DELETE FROM webhook_receivers WHERE merchant_id = :id::uuid")
_AGE = Statement("""
    UPDATE webhook_endpoints SET first_failure_at = first_failure_at - make_interval(secs => :seconds::integer),
        failing_since = failing_since - make_interval(secs => :seconds::integer)
    WHERE id = :id::uuid
""")
_EXPIRE = Statement("""
    UPDATE webhook_endpoints SET secrets = (
        SELECT json_agg(CASE WHEN s.entry ->> 'valid_until' IS NULL THEN s.entry
                             ELSE json_build_object('secret', s.entry ->> 'secret', 'valid_until', now()) END
                        ORDER BY s.place)
        FROM json_array_elements(secrets) WITH ORDINALITY AS s (entry, place))
    WHERE id = :id::uuid
""")


class Receiver:
    """Answers every webhook with a status, and remembers what came."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses) or [200]
        self.got: list[tuple[str, dict[str, str], bytes]] = []

    async def send(self, url: str, headers: Any, body: bytes, timeout_seconds: float) -> SendResult:
        self.got.append((url, dict(headers), body))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return SendResult(status_code=status, error=None, latency_ms=1)

    def urls(self) -> list[str]:
        return [url for url, _, _ in self.got]


def endpoint(world: DeliveryWorld, merchant_id: UUID, *events: str, url: str = "https://a.example/x") -> NewSecret:
    order = EndpointOrder(url=url, events=events or ("*",))
    created = create_endpoint(world.database, CLOCK, IDS, merchant_id, order)
    assert created is not None
    return created


def change(world: DeliveryWorld, found: Endpoint, **changes: Any) -> Endpoint:
    changed = change_endpoint(world.database, CLOCK, IDS, found.merchant_id, found.id, changes)
    assert changed is not None
    return changed


def retry(world: DeliveryWorld, event: Event) -> list[Event]:
    """Make what waits due, and return the newest command for each delivery of the event."""
    world.database.run(_MAKE_DUE)
    newest = {}
    ids = world.database.run(Statement("SELECT id FROM webhook_deliveries WHERE event_id = :id::uuid"), id=event.id)
    for (id_,) in ids:
        rows = world.database.run(_COMMANDS, id=str(id_), type=DELIVER_WEBHOOK)
        if rows:
            newest[id_] = parse_envelope(orjson.loads(rows[-1][0]))
    return list(newest.values())


def told(world: DeliveryWorld, endpoint_id: UUID) -> list[tuple[str, Any]]:
    rows = world.database.run(_EVENTS, id=endpoint_id)
    return [(envelope["type"], envelope["data"]) for (body,) in rows for envelope in [orjson.loads(body)]]


class TestFanOut:
    async def test_an_event_from_before_the_endpoint_is_not_for_it(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        new = endpoint(world, merchant_id)
        old, young = (
            world.event(merchant_id, None, time=new.endpoint.created_at - timedelta(seconds=seconds))
            for seconds in (61, 59)
        )
        receiver = Receiver()
        await world.deliver(old, young, sender=receiver)
        assert world.database.run(_DELIVERIES, id=old.id) == []
        # The clocks of an endpoint and of an event may differ a little.
        assert len(world.database.run(_DELIVERIES, id=young.id)) == 1

    async def test_each_endpoint_that_chooses_the_event_gets_it_beside_the_payments_url(
        self, world: DeliveryWorld
    ) -> None:
        merchant_id = world.merchant()
        all_, family, other = (
            endpoint(world, merchant_id, *events, url=f"https://{name}.example/x")
            for name, events in (("a", ("*",)), ("b", ("payment.*",)), ("c", ("refund.*", "payment.failed")))
        )
        stranger = endpoint(world, world.merchant(), url="https://s.example/x")
        receiver = Receiver()
        event = world.event(merchant_id, "https://own.example/x")
        await world.deliver(event, sender=receiver)
        assert sorted(receiver.urls()) == ["https://a.example/x", "https://b.example/x", "https://own.example/x"]
        assert {headers["webhook-id"] for _, headers, _ in receiver.got} == {str(event.id)}
        rows = world.database.run(_DELIVERIES, id=event.id)
        assert {row[0] for row in rows} == {all_.endpoint.id, family.endpoint.id, None}
        assert {other.endpoint.id, stranger.endpoint.id}.isdisjoint({row[0] for row in rows})

    async def test_the_same_event_again_is_delivered_once(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        endpoint(world, merchant_id)
        receiver = Receiver()
        event = world.event(merchant_id, None)
        for _ in range(3):
            await world.deliver(event, sender=receiver)
        assert len(receiver.got) == 1

    async def test_endpoints_sign_with_their_own_secret(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id)
        receiver = Receiver()
        await world.deliver(world.event(merchant_id, None), sender=receiver)
        assert is_signed(receiver.got[0], created.secret)

    async def test_the_progress_of_a_payment_goes_to_endpoints_alone(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        endpoint(world, merchant_id, "payment.created")
        receiver = Receiver()
        await world.deliver(world.event(merchant_id, "https://own.example/x", type="payment.created"), sender=receiver)
        assert receiver.urls() == ["https://a.example/x"]

    async def test_a_merchant_has_a_limited_number_of_endpoints_even_at_once(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        made: list[object] = []

        def create() -> None:
            with closing(Database(world.address)) as database:
                for _ in range(8):
                    order = EndpointOrder(url="https://a.example/x", events=("*",))
                    made.append(create_endpoint(database, CLOCK, IDS, merchant_id, order))

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([each for each in made if each is not None]) == ENDPOINTS_MAX
        assert len(made) == 32


def is_signed(got: tuple[str, dict[str, str], bytes], secret: str) -> bool:
    _, headers, body = got
    moment = int(headers["webhook-timestamp"])
    return is_signed_by([parse_secret(secret)], headers["webhook-signature"], headers["webhook-id"], moment, body)


class TestScheduledTries:
    """A try that was scheduled before the endpoint changed."""

    async def scheduled(self, world: DeliveryWorld) -> tuple[Endpoint, Event]:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id)
        event = world.event(merchant_id, None)
        (report,) = await world.deliver(event, sender=Receiver(500))
        assert report.outcome is DeliveryOutcome.RETRY
        return created.endpoint, event

    async def test_a_deleted_endpoint_gets_nothing_more(self, world: DeliveryWorld) -> None:
        found, event = await self.scheduled(world)
        assert delete_endpoint(world.database, CLOCK, found.merchant_id, found.id)
        receiver = Receiver()
        assert await world.deliver(*retry(world, event), sender=receiver) == []
        assert receiver.got == []
        assert world.database.run(_DELIVERIES, id=event.id)[0][2] == "canceled"
        assert not delete_endpoint(world.database, CLOCK, found.merchant_id, found.id)

    async def test_a_deselected_event_is_not_sent(self, world: DeliveryWorld) -> None:
        found, event = await self.scheduled(world)
        change(world, found, events=("refund.*",))
        receiver = Receiver()
        await world.deliver(*retry(world, event), sender=receiver)
        assert receiver.got == []
        assert world.database.run(_DELIVERIES, id=event.id)[0][2] == "canceled"

    async def test_a_moved_endpoint_gets_it_at_its_new_url(self, world: DeliveryWorld) -> None:
        found, event = await self.scheduled(world)
        change(world, found, url="https://new.example/x")
        receiver = Receiver()
        await world.deliver(*retry(world, event), sender=receiver)
        assert receiver.urls() == ["https://new.example/x"]
        assert world.database.run(_DELIVERIES, id=event.id)[0][1:3] == ["https://new.example/x", "delivered"]

    async def test_a_disabled_endpoint_gets_it_once_it_is_enabled_again(self, world: DeliveryWorld) -> None:
        found, event = await self.scheduled(world)
        change(world, found, status="disabled")
        receiver = Receiver()
        (report,) = await world.deliver(*retry(world, event), sender=receiver)
        assert report.outcome is DeliveryOutcome.POSTPONED
        later = world.event(found.merchant_id, None)
        assert await world.deliver(later, sender=receiver) == []
        assert receiver.got == []
        assert change(world, found, status="enabled").status is EndpointStatus.ENABLED
        rows = world.database.run(
            Statement("SELECT next_attempt_at <= now() FROM webhook_deliveries WHERE event_id = :id::uuid"), id=event.id
        )
        assert rows == [[True]]
        await world.deliver(*retry(world, event), sender=receiver)
        assert [headers["webhook-id"] for _, headers, _ in receiver.got] == [str(event.id)]

    async def test_it_is_signed_with_every_secret_that_is_valid_then(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id)
        event = world.event(merchant_id, None)
        await world.deliver(event, sender=Receiver(500))
        rotated = rotate_secret(world.database, CLOCK, merchant_id, created.endpoint.id, 3600)
        assert rotated is not None
        receiver = Receiver(500)
        await world.deliver(*retry(world, event), sender=receiver)
        assert all(is_signed(receiver.got[0], secret) for secret in (created.secret, rotated.secret))
        world.database.run(_EXPIRE, id=created.endpoint.id)
        await world.deliver(*retry(world, event), sender=receiver)
        assert is_signed(receiver.got[1], rotated.secret)
        assert not is_signed(receiver.got[1], created.secret)

    async def test_after_a_leak_the_old_secret_signs_nothing(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id)
        rotated = rotate_secret(world.database, CLOCK, merchant_id, created.endpoint.id, 0)
        assert rotated is not None
        receiver = Receiver()
        await world.deliver(world.event(merchant_id, None), sender=receiver)
        assert is_signed(receiver.got[0], rotated.secret)
        assert not is_signed(receiver.got[0], created.secret)


class TestDisabling:
    async def fail(self, world: DeliveryWorld, merchant_id: UUID, status: int = 500) -> None:
        # A receiver that has failed some times in a row is served by the slow lane, which is not the matter here.
        world.database.run(_FORGET_RECEIVERS, id=merchant_id)
        await world.deliver(world.event(merchant_id, None), sender=Receiver(status))

    async def test_five_days_of_failures_alone_disable_after_warnings(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint
        for _ in range(7 * 4):
            await self.fail(world, merchant_id)
            world.database.run(_AGE, id=found.id, seconds=6 * 3600)
        types = [type_ for type_, _ in told(world, found.id)]
        assert types == ["webhook_endpoint.failing"] * 3 + ["webhook_endpoint.disabled"]
        assert [data.get("percent") for _, data in told(world, found.id)] == [50, 70, 90, None]
        now = read_endpoint(world.database, merchant_id, found.id)
        assert now is not None
        assert (now.status, now.disabled_reason) == (EndpointStatus.DISABLED, DisabledReason.FAILING)

    async def test_one_success_stops_the_clock(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint
        for number in range(7 * 4):
            await self.fail(world, merchant_id)
            if number == 15:
                await self.fail(world, merchant_id, 200)
            world.database.run(_AGE, id=found.id, seconds=6 * 3600)
        now = read_endpoint(world.database, merchant_id, found.id)
        assert now is not None
        assert now.status is EndpointStatus.ENABLED

    async def test_one_bad_event_among_a_hundred_disables_nothing(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint
        for _ in range(7 * 4):
            events = [world.event(merchant_id, None) for _ in range(10)]
            await world.deliver(*events, sender=Receiver(500, *[200] * 9))
            world.database.run(_AGE, id=found.id, seconds=6 * 3600)
        now = read_endpoint(world.database, merchant_id, found.id)
        assert now is not None
        assert (now.status, now.failing_since) == (EndpointStatus.ENABLED, None)
        assert told(world, found.id) == []

    async def test_gone_disables_at_once_and_enabling_starts_afresh(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint
        await self.fail(world, merchant_id, 410)
        now = read_endpoint(world.database, merchant_id, found.id)
        assert now is not None
        assert (now.status, now.disabled_reason) == (EndpointStatus.DISABLED, DisabledReason.GONE)
        enabled = change(world, found, status="enabled")
        assert (enabled.disabled_at, enabled.first_failure_at) == (None, None)
        assert [type_ for type_, _ in told(world, found.id)] == [
            "webhook_endpoint.disabled",
            "webhook_endpoint.enabled",
        ]
        receiver = Receiver()
        await world.deliver(world.event(merchant_id, None), sender=receiver)
        assert len(receiver.got) == 1

    async def test_what_the_old_url_answers_after_a_move_does_not_count(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint

        class MovedMeanwhile(Receiver):
            async def send(self, url: str, headers: Any, body: bytes, timeout_seconds: float) -> SendResult:
                change(world, found, url="https://new.example/x")
                return await super().send(url, headers, body, timeout_seconds)

        await world.deliver(world.event(merchant_id, None), sender=MovedMeanwhile(410))
        now = read_endpoint(world.database, merchant_id, found.id)
        assert now is not None
        assert (now.status, now.first_failure_at) == (EndpointStatus.ENABLED, None)

    async def test_a_move_stops_the_clock(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint
        for number in range(7 * 4):
            if number == 15:
                change(world, found, url="https://new.example/x")
            await self.fail(world, merchant_id)
            world.database.run(_AGE, id=found.id, seconds=6 * 3600)
        now = read_endpoint(world.database, merchant_id, found.id)
        assert now is not None
        assert now.status is EndpointStatus.ENABLED
        assert now.failing_since is not None

    async def test_a_further_failure_writes_nothing_to_the_endpoint(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        found = endpoint(world, merchant_id).endpoint
        read = Statement("SELECT ctid::text FROM webhook_endpoints WHERE id = :id::uuid")
        await self.fail(world, merchant_id)
        before = world.database.run(read, id=found.id)
        await self.fail(world, merchant_id)
        assert world.database.run(read, id=found.id) == before


class TestSendTest:
    async def test_a_test_is_a_delivery_like_any_other(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id, "payment.failed")
        sent = send_test(world.database, CLOCK, IDS, merchant_id, created.endpoint.id)
        assert isinstance(sent, NewDelivery)
        (row,) = world.database.run(_COMMANDS, id=str(sent.id), type=DELIVER_WEBHOOK)
        receiver = Receiver()
        await world.deliver(parse_envelope(orjson.loads(row[0])), sender=receiver)
        ((url, headers, body),) = receiver.got
        assert (url, headers["webhook-id"]) == ("https://a.example/x", str(sent.event_id))
        assert orjson.loads(body)["type"] == "webhook_endpoint.test"
        assert orjson.loads(body)["data"]["endpoint_id"] == str(created.endpoint.id)

    async def test_a_test_takes_no_number_of_the_endpoints_events(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id).endpoint

        def tested() -> int:
            sent = send_test(world.database, CLOCK, IDS, merchant_id, created.id)
            assert isinstance(sent, NewDelivery)
            number: int = orjson.loads(sent.body)["data"]["sequence"]
            return number

        assert (tested(), tested()) == (0, 0)
        change(world, created, status="disabled")
        change(world, created, status="enabled")
        assert (tested(), tested()) == (2, 2)
        change(world, created, status="disabled")
        bodies = [orjson.loads(body) for (body,) in world.database.run(_EVENTS, id=created.id)]
        assert [(body["type"], int(body["sequence"])) for body in bodies] == [
            ("webhook_endpoint.disabled", 1),
            ("webhook_endpoint.enabled", 2),
            ("webhook_endpoint.disabled", 3),
        ]

    async def test_a_disabled_or_unknown_endpoint_is_not_tested(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        created = endpoint(world, merchant_id)
        change(world, created.endpoint, status="disabled")
        assert isinstance(send_test(world.database, CLOCK, IDS, merchant_id, created.endpoint.id), Endpoint)
        assert send_test(world.database, CLOCK, IDS, merchant_id, uuid4()) is None
        assert send_test(world.database, CLOCK, IDS, world.merchant(), created.endpoint.id) is None


class TestProgress:
    def test_the_merchant_follows_progress_while_an_enabled_endpoint_chooses_it(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        read = Statement("SELECT follows_progress FROM merchants WHERE id = :id::uuid")

        def follows() -> bool:
            answer: bool = world.database.run(read, id=merchant_id)[0][0]
            return answer

        endpoint(world, merchant_id, "payment.succeeded")
        assert not follows()
        found = endpoint(world, merchant_id, "payment.*").endpoint
        assert follows()
        change(world, found, status="disabled")
        assert not follows()
        change(world, found, status="enabled")
        assert follows()
        delete_endpoint(world.database, CLOCK, merchant_id, found.id)
        assert not follows()
