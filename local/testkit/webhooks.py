"""Webhooks delivered without a broker, for tests of what deliveries do to the database and to receivers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import orjson
from uuid_utils.compat import uuid7

from local.testkit.payments import WEBHOOK_SECRET
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row
from paybridge.webhooks.deliver import deliver_webhooks
from paybridge.webhooks.lanes import Lane, fast_lane, slow_lane
from paybridge.webhooks.ports import WebhookSender, WebhookServices
from paybridge.webhooks.reports import DeliveryReport

# A receiver that answers at once is prompt even on a machine that is busy with other tests.
FAST = fast_lane(15)
SLOW = slow_lane(30, prompt_seconds=FAST.prompt_seconds)

MERCHANT = Statement("INSERT INTO merchants (id, name, webhook_secrets) VALUES (:id::uuid, 'Test', :secrets::text[])")
SECRETS = Statement("UPDATE merchants SET webhook_secrets = :secrets::text[] WHERE id = :id::uuid")
PAYMENT = Statement("""
    INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, currency, status, webhook_url, correlation_id,
                          created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 100, 100, 'RUB', 'succeeded', :url::text, 'corr-1', now(), now())
""")
DELIVERIES = Statement("""
    SELECT status, attempts FROM webhook_deliveries WHERE payment_id = :id::uuid ORDER BY id
""")
BODIES = Statement("SELECT body FROM webhook_deliveries WHERE payment_id = :id::uuid ORDER BY id")
ATTEMPTS = Statement("""
    SELECT a.number, a.status, a.response_status, a.error FROM webhook_attempts a
    JOIN webhook_deliveries d ON d.id = a.delivery_id WHERE d.payment_id = :id::uuid ORDER BY d.id, a.number
""")
OUTBOX = Statement("""
    SELECT body, exchange, routing_key, extract(epoch FROM available_at - now())::float8 FROM outbox
    WHERE payment_id = :id::uuid ORDER BY id
""")
MAKE_DUE = Statement("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at > now()")
ENDED = Statement("""
    WITH delivery AS (
        INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id,
                                        status, attempts, finished_at)
        VALUES (:id::uuid, :merchant_id::uuid, :payment_id::uuid, :event_id::uuid, 'payment.succeeded',
                'http://127.0.0.1:9/hooks', '{}', 'corr-1', :status::text, 1, now())
    )
    INSERT INTO webhook_attempts (delivery_id, number, status, response_status, response_excerpt, latency_ms,
                                  finished_at)
    VALUES (:id::uuid, 1, CASE :status::text WHEN 'delivered' THEN 'delivered' ELSE 'failed' END, 503, 'out of order',
            12, now())
""")


def ended_delivery(database: Database, merchant_id: UUID, payment_id: UUID, status: str = "failed") -> UUID:
    """Record a delivery about the payment that has ended so after one attempt, and return its id."""
    id_ = uuid7()
    database.run(ENDED, id=id_, merchant_id=merchant_id, payment_id=payment_id, event_id=uuid7(), status=status)
    return UUID(str(id_))


class OutboxEntry(NamedTuple):
    """A message in the outbox, where it goes, and in how many seconds it is available."""

    message: Event
    exchange: str | None
    routing_key: str
    delay_seconds: float


class DeliveryWorld:
    """A database with merchants and payments whose webhooks are delivered to a sink.

    `sink` is the URL of the sink, `sender` sends where a test names no other sender.
    """

    def __init__(self, address: DatabaseAddress, sender: WebhookSender, sink: str) -> None:
        self.address = address
        self.database = Database(address)
        self.sender = sender
        self.sink = sink

    def close(self) -> None:
        """Close the connection to the database."""
        self.database.close()

    def merchant(self, *secrets: str) -> UUID:
        """Create a merchant with these webhook secrets, by default that of the sink."""
        merchant_id = uuid7()
        self.database.run(MERCHANT, id=merchant_id, secrets=list(secrets or [WEBHOOK_SECRET]))
        return merchant_id

    def set_secrets(self, merchant_id: UUID, *secrets: str) -> None:
        """Replace the webhook secrets of a merchant."""
        self.database.run(SECRETS, id=merchant_id, secrets=list(secrets))

    def event(self, merchant_id: UUID, path: str | None, **changes: Any) -> Event:
        """Return an outcome event of a new payment whose webhooks go to this path of the sink, or to a whole URL."""
        url = path if path is None or path.startswith("http") else self.sink + path
        payment_id = uuid7()
        self.database.run(PAYMENT, id=payment_id, merchant_id=merchant_id, url=url)
        data = {"payment_id": str(payment_id), "status": "succeeded", "webhook_url": url}
        return self.fact(payment_id, merchant_id, **{"data": data, **changes})

    def fact(self, payment_id: UUID, merchant_id: UUID, **changes: Any) -> Event:
        """Return an event about the payment, with some attributes changed."""
        values: dict[str, Any] = {
            "id": uuid7(),
            "type": "payment.succeeded",
            "payment_id": payment_id,
            "merchant_id": merchant_id,
            "correlation_id": "corr-1",
            "time": datetime.now(UTC),
            "sequence": 3,
            "data": {},
        }
        return Event(**values | changes)

    async def deliver(
        self,
        *events: Event,
        lane: Lane = FAST,
        delays: tuple[float, ...] = (100, 200, 400),
        sender: WebhookSender | None = None,
    ) -> list[DeliveryReport]:
        """Deliver the events as one batch; `delays` are the seconds between attempts."""
        services = WebhookServices(
            database=self.database,
            sender=sender or self.sender,
            clock=SystemClock(),
            ids=Uuid7Ids(),
            retry_delays_seconds=delays,
        )
        return await deliver_webhooks(services, events, lane)

    def outbox(self, event: Event) -> list[OutboxEntry]:
        """Return what the outbox holds about the event's payment, oldest first."""
        rows = self.database.run(OUTBOX, id=event.payment_id)
        return [OutboxEntry(parse_envelope(orjson.loads(row[0])), *row[1:]) for row in rows]

    def command(self, event: Event) -> Event:
        """Make retries due and return the newest retry command about the event's payment."""
        self.database.run(MAKE_DUE)
        return [entry.message for entry in self.outbox(event) if entry.message.type == DELIVER_WEBHOOK][-1]

    def deliveries(self, event: Event) -> list[Row]:
        """Return status and number of attempts of each delivery about the event's payment."""
        return self.database.run(DELIVERIES, id=event.payment_id)

    def bodies(self, event: Event) -> list[str]:
        """Return what is sent about the event's payment."""
        return [body for (body,) in self.database.run(BODIES, id=event.payment_id)]

    def attempts(self, event: Event) -> list[Row]:
        """Return number, status, response status and error of each attempt about the event's payment."""
        return self.database.run(ATTEMPTS, id=event.payment_id)

    def received(self, event: Event) -> list[dict[str, Any]]:
        """Return the requests that the sink received about the event's payment."""
        parameters = {"payment_id": str(event.payment_id)}
        answer = httpx.get(f"{self.sink}/received", params=parameters, trust_env=False, timeout=30)
        listed: list[dict[str, Any]] = answer.json()
        return listed
