"""Deliveries that waited for a disabled endpoint go on at a steady pace once it is enabled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from local.testkit.webhooks import FAST, DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.webhooks import resume
from paybridge.webhooks.begin import DISABLED_RETRY_SECONDS, begin_deliveries
from paybridge.webhooks.change_endpoint import change_endpoint, delete_endpoint
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.domain.endpoint import Endpoint
from paybridge.webhooks.domain.webhook import SendResult, delivery_id
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.ports import WebhookServices
from paybridge.webhooks.record import record_changes
from paybridge.webhooks.resume import (
    AHEAD_SECONDS,
    BATCH_DELIVERIES,
    PER_SECOND,
    read_resumptions,
    work_on,
    work_on_resumptions,
)
from paybridge.webhooks.store import resumptions
from tests.support.webhook_senders import StubSender

pytestmark = pytest.mark.integration

CLOCK, IDS = SystemClock(), Uuid7Ids()
MANY = 6_000
AT_ONCE = 4

_WAIT = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, endpoint_id, event_id, event_type, url, body, correlation_id,
                                    next_attempt_at)
    SELECT (left(uuid7_floor(now() + make_interval(secs => :ahead_seconds::integer))::text, 14)
               || substr(gen_random_uuid()::text, 15))::uuid,
           :merchant_id::uuid, :endpoint_id::uuid, gen_random_uuid(),
           'payment.failed', 'https://a.example/x', '{}', 'c', now() + make_interval(secs => :seconds::integer)
    FROM generate_series(1, :count::integer) AS n
""")
# What goes on, by the second in which it does. A day's wait is none.
_PACE = Statement("""
    SELECT floor(extract(epoch FROM next_attempt_at - now()))::integer, count(*) FROM webhook_deliveries
    WHERE endpoint_id = :id::uuid AND next_attempt_at < now() + interval '1 hour' GROUP BY 1 ORDER BY 1
""")
_COMMANDS = Statement("""
    WITH commands AS MATERIALIZED (
        SELECT (body::json -> 'data' ->> 'delivery_id')::uuid AS delivery_id, available_at FROM outbox
        WHERE subject_id = :id::uuid AND type = 'command.deliver_webhook'
    ), deliveries AS MATERIALIZED (
        SELECT id, next_attempt_at FROM webhook_deliveries WHERE endpoint_id = :id::uuid
    )
    SELECT count(*), count(DISTINCT d.id), bool_and(c.available_at = d.next_attempt_at)
    FROM commands c JOIN deliveries d ON d.id = c.delivery_id
""")
_TIME_PASSES = (
    Statement("UPDATE webhook_resumptions SET paced_until = now() WHERE endpoint_id = :id::uuid"),
    Statement("""
        UPDATE webhook_deliveries SET status = 'delivered', next_attempt_at = NULL, finished_at = now()
        WHERE endpoint_id = :id::uuid AND next_attempt_at < now() + interval '1 hour'
    """),
)
_NEXT = Statement("""
    SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM webhook_deliveries WHERE endpoint_id = :id::uuid
""")
_LEFT = Statement(
    "SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM webhook_deliveries WHERE id = :id::uuid"
)
# An endpoint that is enabled but whose resumption nothing has worked on yet.
_ENABLE = Statement("""
    UPDATE webhook_endpoints SET status = 'enabled', disabled_at = NULL, disabled_reason = NULL WHERE id = :id::uuid
""")
RETRY_AFTER_SECONDS = 7_200


def disabled_endpoint(world: DeliveryWorld) -> Endpoint:
    order = EndpointOrder(url="https://a.example/x", events=("*",))
    created = create_endpoint(world.database, CLOCK, IDS, world.merchant(), order)
    assert created is not None
    return switched(world, created.endpoint, "disabled")


def switched(world: DeliveryWorld, endpoint: Endpoint, status: str) -> Endpoint:
    changes = {"status": status}
    changed = change_endpoint(world.database, CLOCK, IDS, endpoint.merchant_id, endpoint.id, changes)
    assert changed is not None
    return changed


def start_resumption(world: DeliveryWorld, endpoint: Endpoint) -> None:
    """Enable the endpoint, and leave all work on its resumption to the test."""
    with world.database.transaction() as transaction:
        resumptions.start(transaction, endpoint.id, CLOCK.now())
    world.database.run(_ENABLE, id=endpoint.id)


def wait(
    world: DeliveryWorld,
    endpoint: Endpoint,
    count: int,
    seconds: float = DISABLED_RETRY_SECONDS,
    *,
    ahead_seconds: int = 0,
) -> None:
    """Let so many deliveries of events so far ahead wait, until they would be looked at after these seconds."""
    names = {"merchant_id": endpoint.merchant_id, "endpoint_id": endpoint.id}
    world.database.run(_WAIT, **names, count=count, seconds=int(seconds), ahead_seconds=ahead_seconds)


async def fail(world: DeliveryWorld, endpoint: Endpoint, **changes: Any) -> Event:
    """Deliver an event to the endpoint, which is busy for RETRY_AFTER_SECONDS; return the event."""
    busy = SendResult(status_code=503, error=None, latency_ms=1, retry_after=str(RETRY_AFTER_SECONDS))
    event = world.event(endpoint.merchant_id, None, **changes)
    await world.deliver(event, sender=StubSender(busy))
    assert world.deliveries(event) == [["pending", 1]]
    return event


def seconds_left(world: DeliveryWorld, endpoint: Endpoint, event: Event) -> float:
    """Return in how many seconds the delivery of the event goes out."""
    [[left]] = world.database.run(_LEFT, id=delivery_id(event.id, str(endpoint.id)))
    return float(left)


def time_passes(world: DeliveryWorld, endpoint_id: UUID) -> None:
    """Let everything that is scheduled be delivered."""
    for statement in _TIME_PASSES:
        world.database.run(statement, id=endpoint_id)


class TestPace:
    def test_thousands_go_on_steadily_until_none_waits(
        self, world: DeliveryWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The same number of deliveries over ten times the period, so that none is added while the test runs.
        per_second, ahead_seconds = PER_SECOND / 10, AHEAD_SECONDS * 10
        monkeypatch.setattr(resume, "PER_SECOND", per_second)
        monkeypatch.setattr(resume, "AHEAD_SECONDS", ahead_seconds)
        monkeypatch.setattr(resume, "JOB_SECONDS_MAX", 60.0)
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, MANY)
        switched(world, endpoint, "enabled")
        work_on_resumptions(world.database, CLOCK, IDS)
        pace = world.database.run(_PACE, id=endpoint.id)
        scheduled = sum(count for _, count in pace)
        # As many as go out until after the next run of the jobs, and not all that wait.
        assert ahead_seconds * per_second <= scheduled <= ahead_seconds * per_second + BATCH_DELIVERIES < MANY
        # Both edges of a second may have a delivery.
        assert max(count for _, count in pace) <= per_second + 1
        assert [second for second, _ in pace] == list(range(pace[0][0], pace[0][0] + len(pace)))
        assert world.database.run(_COMMANDS, id=endpoint.id) == [[scheduled, scheduled, True]]
        progress = read_resumptions(world.database, [endpoint.id])[endpoint.id]
        assert (progress.resumed, progress.waiting) == (scheduled, MANY - scheduled)

        assert work_on_resumptions(world.database, CLOCK, IDS) == 0
        time_passes(world, endpoint.id)
        assert work_on_resumptions(world.database, CLOCK, IDS) == MANY - scheduled
        time_passes(world, endpoint.id)
        assert work_on_resumptions(world.database, CLOCK, IDS) == 0
        assert read_resumptions(world.database, [endpoint.id]) == {}

    def test_of_several_workers_at_once_each_delivery_goes_on_once(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, 3 * BATCH_DELIVERIES)
        start_resumption(world, endpoint)

        def run(_: int) -> int:
            with closing(Database(world.address)) as database:
                return work_on(database, CLOCK, IDS, endpoint.id, 10.0)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            resumed = sum(threads.map(run, range(AT_ONCE)))
        assert resumed == 3 * BATCH_DELIVERIES
        assert world.database.run(_COMMANDS, id=endpoint.id) == [[resumed, resumed, True]]

    def test_what_is_due_earlier_keeps_its_time(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, 2, seconds=10)
        wait(world, endpoint, 10 * PER_SECOND)
        wait(world, endpoint, 1, seconds=12)
        switched(world, endpoint, "enabled")
        assert world.database.run(_PACE, id=endpoint.id)[-1][0] <= 12


class TestFailing:
    async def test_what_fails_at_an_enabled_endpoint_keeps_its_time(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        late = {"id": IDS.new()}
        wait(world, endpoint, 1)
        start_resumption(world, endpoint)
        # The second is of an event from before, as when a queue is behind or a recovery runs.
        events = [await fail(world, endpoint), await fail(world, endpoint, **late)]
        assert read_resumptions(world.database, [endpoint.id])[endpoint.id].waiting == 1
        assert work_on_resumptions(world.database, CLOCK, IDS) == 1
        for event in events:
            assert seconds_left(world, endpoint, event) > RETRY_AFTER_SECONDS - 60

    def test_ends_although_later_deliveries_wait(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, 1)
        start_resumption(world, endpoint)
        wait(world, endpoint, MANY, ahead_seconds=3_600)
        assert read_resumptions(world.database, [endpoint.id])[endpoint.id].waiting == 1
        assert work_on_resumptions(world.database, CLOCK, IDS) == 1
        assert read_resumptions(world.database, [endpoint.id]) == {}

    async def test_what_failed_before_goes_on(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        switched(world, endpoint, "enabled")
        event = await fail(world, endpoint)
        switched(world, endpoint, "disabled")
        switched(world, endpoint, "enabled")
        assert seconds_left(world, endpoint, event) < 5

    def test_the_clock_of_an_event_may_be_ahead(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, 1, ahead_seconds=10)
        switched(world, endpoint, "enabled")
        assert [count for _, count in world.database.run(_PACE, id=endpoint.id)] == [1]


class TestChanges:
    def test_an_endpoint_that_is_disabled_again_gets_no_more(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, MANY)
        switched(world, endpoint, "enabled")
        work_on_resumptions(world.database, CLOCK, IDS)
        switched(world, endpoint, "disabled")
        time_passes(world, endpoint.id)
        assert work_on_resumptions(world.database, CLOCK, IDS) == 0
        assert read_resumptions(world.database, [endpoint.id]) == {}
        switched(world, endpoint, "enabled")
        assert world.database.run(_PACE, id=endpoint.id) != []

    def test_a_deleted_endpoint_gets_no_more(self, world: DeliveryWorld) -> None:
        endpoint = disabled_endpoint(world)
        wait(world, endpoint, MANY)
        switched(world, endpoint, "enabled")
        work_on_resumptions(world.database, CLOCK, IDS)
        delete_endpoint(world.database, CLOCK, endpoint.merchant_id, endpoint.id)
        time_passes(world, endpoint.id)
        assert work_on_resumptions(world.database, CLOCK, IDS) == 0
        assert read_resumptions(world.database, [endpoint.id]) == {}

    @pytest.mark.parametrize(("is_enabled", "seconds"), [(True, 0.0), (False, DISABLED_RETRY_SECONDS)])
    def test_a_delivery_that_is_looked_at_while_its_endpoint_is_enabled(
        self, world: DeliveryWorld, is_enabled: bool, seconds: float
    ) -> None:
        endpoint = disabled_endpoint(world)
        switched(world, endpoint, "enabled")
        services = WebhookServices(
            database=world.database, sender=world.sender, clock=CLOCK, ids=IDS, retry_delays_seconds=(1,)
        )
        event = world.event(endpoint.merchant_id, None)
        [attempt] = begin_deliveries(services, [event], FAST).ready
        switched(world, endpoint, "disabled")
        command = deliver_webhook(IDS.new(), event, CLOCK.now(), {"delivery_id": str(attempt.delivery.id)})
        start = begin_deliveries(services, [command], FAST)
        assert [change.delay_seconds for change in start.postponed] == [DISABLED_RETRY_SECONDS]
        if is_enabled:
            switched(world, endpoint, "enabled")
        record_changes(services, start.postponed, FAST)
        [[left]] = world.database.run(_NEXT, id=endpoint.id)
        assert seconds - 60 < left <= seconds
        [entry] = [each for each in world.outbox(event) if each.message.type == "command.deliver_webhook"]
        assert seconds - 60 < entry.delay_seconds <= seconds
