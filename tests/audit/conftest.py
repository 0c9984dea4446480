"""A healthy log of payments, whose gaps the tests plant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from local.testkit.servers import Postgres, address_of
from paybridge.audit.domain import AuditOrder, AuditPage
from paybridge.audit.run import begin, run_audit
from paybridge.bridge.store.sent import record_sent
from paybridge.core.clock import SystemClock
from paybridge.core.events import Event
from paybridge.database.database import Database, Statement
from paybridge.ledger.post import post_events
from paybridge.notifications.domain.notification import Channel
from paybridge.outbox import store as outbox
from paybridge.wiring import audit as audit_wiring

URL = "http://127.0.0.1:9/hooks"
CLOCK = SystemClock()

_MERCHANT = Statement("""
    INSERT INTO merchants (id, name, email, notify, webhook_secrets, follows_progress, created_at)
    VALUES (:id::uuid, 'Test', 'pay@merchant.example', '{refund.*}', '{whsec_x}', true, now() - interval '1 hour')
""")
_ENDPOINT = Statement("""
    INSERT INTO webhook_endpoints (id, merchant_id, url, events, secrets, created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 'https://shop.example/hooks', '{payment.*}',
            '[{"secret": "whsec_x", "valid_until": null}]', now() - interval '1 hour', now() - interval '1 hour')
""")
# It has failed for long, and so was disabled.
_DISABLED = Statement("""
    INSERT INTO webhook_endpoints (id, merchant_id, url, events, secrets, status, disabled_at, disabled_reason,
                                   last_sequence, created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 'https://shop.example/old', '{payout.*}',
            '[{"secret": "whsec_x", "valid_until": null}]', 'disabled', now(), 'failing', 2, now(), now())
""")
_PAYOUT = Statement("""
    INSERT INTO ledger.payouts (id, merchant_id, currency, places, amount_minor, available_after_minor, status,
                                settled_by, idempotency_key, fingerprint, correlation_id, last_sequence, created_at,
                                updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 'RUB', 2, 100, 0, 'paid', 'bank', :id::text, sha256(''), 'c', 2, now(),
            now())
""")
_PAYMENT = Statement("""
    INSERT INTO payments (id, merchant_id, amount_minor, captured_minor, refunded_minor, currency, status, webhook_url,
                          correlation_id, last_sequence, created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, 10050, 10050, 3000, 'RUB', 'partially_refunded', :url::text, 'c', 4, now(),
            now())
""")
_REFUND = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, correlation_id,
                            last_sequence, created_at, updated_at, started_at, finished_at, attempt_status, gateway_id)
    VALUES (:id::uuid, :payment_id::uuid, :merchant_id::uuid, 'refund', 'default', 3000, 'succeeded', 1, 'c', 2, now(),
            now(), now(), now(), 'succeeded', 're_1')
""")
_DELIVER = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, endpoint_id, event_id, event_type, url, body,
                                    correlation_id, status, attempts, finished_at)
    VALUES (:id::uuid, :merchant_id::uuid, :payment_id::uuid, :endpoint_id::uuid, :event_id::uuid, 't', :url::text,
            '{}', 'c', 'delivered', 1, now())
""")
_NOTIFY = Statement("""
    INSERT INTO notifications (id, merchant_id, payment_id, subject_type, subject_id, event_id, event_type, pattern,
                               channel, contact, recipient, title, body, correlation_id, status, attempts, claimed_at,
                               provider_message_id, finished_at)
    VALUES (:id::uuid, :merchant_id::uuid, :payment_id::uuid, 'refund', :payment_id::uuid, :event_id::uuid, 't',
            'refund.*', 'email', 'pay@merchant.example', 'Test', 'T', 'B', 'c', 'sent', 1, now(), 'm', now())
""")
# Old enough that nothing of it is on its way. Endpoints are judged if they have had an event since the test began.
_AGE = Statement("""
    UPDATE outbox SET created_at = CASE WHEN subject_type = 'webhook_endpoint' THEN created_at
                                        ELSE now() - interval '10 minutes' END,
                      available_at = now() - interval '10 minutes',
                      published_at = CASE WHEN exchange IS NOT NULL THEN now() - interval '10 minutes' END
    WHERE merchant_id = :merchant_id::uuid
""")

STEPS = ("payment.created", "payment.processing")
TYPES = (*STEPS, "payment.succeeded", "payment.partially_refunded")
ROWS = 12
"""Rows of the outbox of a healthy payment with its refund, payout and endpoint, and a command for each step."""


@dataclass(frozen=True, slots=True)
class Told:
    """A payment with a refund, a payout, an endpoint that was disabled, and the ids of all their events by type."""

    payment_id: UUID
    refund_id: UUID
    payout_id: UUID
    endpoint_id: UUID
    events: dict[str, UUID]

    def subject_id(self, subject: str) -> UUID:
        """Return the id of the subject of this type."""
        of_type = {"payment": self.payment_id, "refund": self.refund_id, "payout": self.payout_id}
        return of_type.get(subject, self.endpoint_id)


class AuditWorld:
    """Payments that are refunded in part, whose events every consumer has worked on."""

    def __init__(self, database: Database) -> None:
        self.database = database
        # Other tests have left rows in the database, all of them earlier.
        self.began_at = CLOCK.now()
        self.merchant_id, self.endpoint_id = new_id(), new_id()
        database.run(_MERCHANT, id=self.merchant_id)
        database.run(_ENDPOINT, id=self.endpoint_id, merchant_id=self.merchant_id)

    def run(self, sql: str, **parameters: Any) -> list[Any]:
        return self.database.run(Statement(sql), **parameters)

    def healthy(self) -> Told:
        """Make a payment without a gap, and with it a payout and an endpoint."""
        payment_id, refund_id, payout_id, endpoint_id = (new_id() for _ in range(4))
        self.database.run(_PAYMENT, id=payment_id, merchant_id=self.merchant_id, url=URL)
        self.database.run(_REFUND, id=refund_id, payment_id=payment_id, merchant_id=self.merchant_id)
        self.database.run(_PAYOUT, id=payout_id, merchant_id=self.merchant_id)
        self.database.run(_DISABLED, id=endpoint_id, merchant_id=self.merchant_id)
        refund = {"subject_type": "refund", "subject_id": refund_id}
        payout = {"subject_type": "payout", "subject_id": payout_id}
        endpoint = {"subject_type": "webhook_endpoint", "subject_id": endpoint_id}
        facts = [
            *(self.fact(payment_id, type_, number) for number, type_ in enumerate(TYPES, 1)),
            self.fact(payment_id, "refund.created", 1, **refund),
            self.fact(payment_id, "refund.succeeded", 2, **refund),
            self.fact(None, "payout.created", 1, **payout),
            self.fact(None, "payout.paid", 2, **payout),
            self.fact(None, "webhook_endpoint.failing", 1, **endpoint),
            self.fact(None, "webhook_endpoint.disabled", 2, **endpoint),
        ]
        commands = [
            self.fact(payment_id, "command.deliver_webhook", None, data={"event_id": str(step.id)})
            for step in facts
            if step.type in STEPS
        ]
        with self.database.transaction() as transaction:
            outbox.add(transaction, [*facts, *commands])
            record_sent(transaction, [fact.id for fact in facts if fact.type not in STEPS])
        self.database.run(_AGE, merchant_id=self.merchant_id)
        for fact in facts:
            self._consume(fact)
        assert not post_events(self.database, facts).refused
        return Told(payment_id, refund_id, payout_id, endpoint_id, {fact.type: fact.id for fact in facts})

    def fact(self, payment_id: UUID | None, type_: str, sequence: int | None, **changes: Any) -> Event:
        charge = {"operation_id": str(payment_id), "type": "charge", "amount": "100.50", "taken_back": False}
        data = {
            "payment_id": str(payment_id),
            "currency": "RUB",
            "webhook_url": URL,
            "amount": "30.00" if type_.startswith("refund") else "100.50",
            "operation": charge if type_ == "payment.succeeded" else None,
        }
        values: dict[str, Any] = {
            "id": new_id(),
            "type": type_,
            "payment_id": payment_id,
            "merchant_id": self.merchant_id,
            "correlation_id": "c",
            "time": CLOCK.now(),
            "sequence": sequence,
            "data": data,
        }
        return Event(**values | changes)

    def _consume(self, fact: Event) -> None:
        about = {"merchant_id": self.merchant_id, "payment_id": fact.payment_id, "event_id": fact.id}
        if fact.payment_id is not None and fact.type not in STEPS:
            self.database.run(_DELIVER, id=beside(fact.id), endpoint_id=None, url=URL, **about)
        if fact.type.startswith("payment."):
            self.database.run(_DELIVER, id=beside(fact.id), endpoint_id=self.endpoint_id, url="https://x", **about)
        if fact.type.startswith("refund."):
            self.database.run(_NOTIFY, id=beside(fact.id), **about)

    def order(self, **changes: Any) -> AuditOrder:
        end_at = CLOCK.now() + timedelta(minutes=1)
        values = {"begin_at": self.began_at, "end_at": end_at, "grace_seconds": 60.0}
        return AuditOrder(**values | changes)

    def audit(self, *channels: Channel, seconds_max: float = 60.0, **changes: Any) -> AuditPage:
        """Audit at once what the test has made."""
        services = audit_wiring.services_over(self.database, CLOCK, frozenset(channels or {Channel.EMAIL}))
        order = self.order(**changes)
        return run_audit(services, order, begin(order), seconds_max)

    def gaps(self, **changes: Any) -> list[tuple[str, str]]:
        """Return kind and subject type of what an audit finds."""
        return sorted((str(gap.kind), gap.subject_type) for gap in self.audit(**changes).gaps)


def new_id() -> UUID:
    return UUID(str(uuid7()))


def beside(event_id: UUID) -> UUID:
    """An id of the same millisecond, as what follows from an event has."""
    return UUID(int=event_id.int >> 80 << 80 | new_id().int & ((1 << 80) - 1))


@pytest.fixture(scope="package")
def shared_database(postgres_server: Postgres) -> Iterator[Database]:
    yield from _fresh_database(postgres_server)


@pytest.fixture
def lone_database(postgres_server: Postgres) -> Iterator[Database]:
    yield from _fresh_database(postgres_server)


@pytest.fixture
def world(shared_database: Database) -> AuditWorld:
    """A merchant of the test's own, in a database whose other rows are earlier."""
    return _world_in(shared_database)


@pytest.fixture
def lone_world(lone_database: Database) -> AuditWorld:
    """A database of the test's own."""
    return _world_in(lone_database)


def _fresh_database(postgres_server: Postgres) -> Iterator[Database]:
    url = postgres_server.fresh_database()
    with closing(Database(address_of(url))) as database:
        yield database
    postgres_server.drop_database(url)


def _world_in(database: Database) -> AuditWorld:
    """Return a world whose books and whose bridge's record are an hour old."""
    database.run(Statement("UPDATE ledger.books SET posting_since = now() - interval '1 hour'"))
    for table in ("outbox", "webhook_endpoints", "bridge.recording"):
        database.run(Statement(f"DELETE FROM {table}"))  # noqa: S608 -- of this list.
    database.run(Statement("INSERT INTO bridge.recording (began_at) VALUES (now() - interval '1 hour')"))
    return AuditWorld(database)
