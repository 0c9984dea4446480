"""Every kind of gap is planted, and found once, with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from paybridge.core.gaps import GapKind
from tests.audit.conftest import AuditWorld, Told, new_id

pytestmark = pytest.mark.integration


def at(world: AuditWorld, sql: str, id_: UUID) -> None:
    world.run(sql, id=id_)


DELETE_EVENT = "DELETE FROM outbox WHERE id = :id::uuid"
DELETE_DELIVERIES = "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid"
DELETE_OF_REFUND = "DELETE FROM outbox WHERE subject_type = 'refund' AND subject_id = :id::uuid"


def duplicate(world: AuditWorld, event_id: UUID) -> None:
    """Record the event once more, as one that is not published."""
    world.run(
        """INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange,
                               routing_key, body, correlation_id)
           SELECT :new::uuid, payment_id, merchant_id, subject_type, subject_id, sequence, type, NULL, routing_key,
                  body, correlation_id FROM outbox WHERE id = :id::uuid""",
        id=event_id,
        new=new_id(),
    )


def without_journal(world: AuditWorld, told: Told) -> None:
    """Remove a journal, which takes the owner's right to pass the trigger."""
    id_ = told.events["payment.succeeded"]
    world.run("ALTER TABLE ledger.journals DISABLE TRIGGER ALL")
    world.run("GRANT DELETE ON ledger.journals TO CURRENT_USER")
    at(world, "DELETE FROM ledger.journals WHERE event_id = :id::uuid", id_)


Plant = Callable[[AuditWorld, Told], None]
# The planted gap, what is found, and about which subject.
PLANTS: list[tuple[str, Plant, GapKind, str]] = [
    (
        "all events of a refund are gone",
        lambda world, told: at(world, DELETE_OF_REFUND, told.refund_id),
        GapKind.NO_EVENTS,
        "refund",
    ),
    (
        "all events of a payment are gone",
        lambda world, told: at(
            world, "DELETE FROM outbox WHERE payment_id = :id::uuid AND subject_type = 'payment'", told.payment_id
        ),
        GapKind.NO_EVENTS,
        "payment",
    ),
    (
        "the last event of a payment is gone",
        lambda world, told: at(world, DELETE_EVENT, told.events["payment.partially_refunded"]),
        GapKind.LAST_EVENT_MISSING,
        "payment",
    ),
    (
        "the last event of a refund is gone",
        lambda world, told: at(world, DELETE_EVENT, told.events["refund.succeeded"]),
        GapKind.LAST_EVENT_MISSING,
        "refund",
    ),
    (
        "a change of a payment was lost, and its event was not",
        lambda world, told: at(world, "UPDATE payments SET last_sequence = 3 WHERE id = :id::uuid", told.payment_id),
        GapKind.EVENT_AHEAD,
        "payment",
    ),
    (
        "an event between two others is gone",
        lambda world, told: at(world, DELETE_EVENT, told.events["payment.processing"]),
        GapKind.SEQUENCE_HOLE,
        "payment",
    ),
    (
        "the first event of a refund is gone",
        lambda world, told: at(world, DELETE_EVENT, told.events["refund.created"]),
        GapKind.SEQUENCE_HOLE,
        "refund",
    ),
    (
        "an event was recorded twice",
        lambda world, told: duplicate(world, told.events["payment.succeeded"]),
        GapKind.SEQUENCE_TWICE,
        "payment",
    ),
    (
        "a payment is in a state of which no event says anything",
        lambda world, told: at(
            world,
            "UPDATE payments SET status = 'succeeded', refunded_minor = 0 WHERE id = :id::uuid",
            told.payment_id,
        ),
        GapKind.STATE_DIFFERS,
        "payment",
    ),
    (
        "a refund is in a state of which no event says anything",
        lambda world, told: at(
            world,
            "UPDATE operations SET status = 'reversed', failure_code = 'refund_reversed' WHERE id = :id::uuid",
            told.refund_id,
        ),
        GapKind.STATE_DIFFERS,
        "refund",
    ),
    (
        "a refund is gone, and its events are not",
        lambda world, told: at(world, "DELETE FROM operations WHERE id = :id::uuid", told.refund_id),
        GapKind.NO_SUBJECT,
        "refund",
    ),
    (
        "a due event was never published",
        lambda world, told: at(
            world, "UPDATE outbox SET published_at = NULL WHERE id = :id::uuid", told.events["payment.succeeded"]
        ),
        GapKind.NOT_PUBLISHED,
        "payment",
    ),
    (
        "the broker refuses an event",
        lambda world, told: at(
            world,
            """UPDATE outbox SET published_at = NULL, attempts = 3, last_error = 'unroutable',
                   created_at = now() - interval '10 minutes', available_at = now() + interval '1 minute'
               WHERE id = :id::uuid""",
            told.events["refund.created"],
        ),
        GapKind.REFUSED,
        "refund",
    ),
    (
        "an endpoint has no delivery of an event",
        lambda world, told: at(
            world,
            "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid AND endpoint_id IS NOT NULL",
            told.events["payment.succeeded"],
        ),
        GapKind.WEBHOOK_MISSING,
        "payment",
    ),
    (
        "a payment's URL has no delivery of an event",
        lambda world, told: at(
            world,
            "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid AND endpoint_id IS NULL",
            told.events["refund.succeeded"],
        ),
        GapKind.WEBHOOK_MISSING,
        "refund",
    ),
    (
        "a contact was not notified",
        lambda world, told: at(
            world, "DELETE FROM notifications WHERE event_id = :id::uuid", told.events["refund.succeeded"]
        ),
        GapKind.NOTIFICATION_MISSING,
        "refund",
    ),
    ("an event was not posted", without_journal, GapKind.JOURNAL_MISSING, "payment"),
    (
        "an event is not on the bus",
        lambda world, told: at(
            world, "DELETE FROM bridge.sent_events WHERE event_id = :id::uuid", told.events["refund.succeeded"]
        ),
        GapKind.BRIDGE_MISSING,
        "refund",
    ),
    (
        "an endpoint that follows payments has no delivery of the first step",
        lambda world, told: at(world, DELETE_DELIVERIES, told.events["payment.created"]),
        GapKind.WEBHOOK_MISSING,
        "payment",
    ),
    (
        "an endpoint that follows payments has no delivery of the second step",
        lambda world, told: at(world, DELETE_DELIVERIES, told.events["payment.processing"]),
        GapKind.WEBHOOK_MISSING,
        "payment",
    ),
    (
        "all events of a payout are gone",
        lambda world, told: at(world, "DELETE FROM outbox WHERE subject_id = :id::uuid", told.payout_id),
        GapKind.NO_EVENTS,
        "payout",
    ),
    (
        "the last event of a payout is gone",
        lambda world, told: at(world, DELETE_EVENT, told.events["payout.paid"]),
        GapKind.LAST_EVENT_MISSING,
        "payout",
    ),
    (
        "an event of a payout was recorded twice",
        lambda world, told: duplicate(world, told.events["payout.created"]),
        GapKind.SEQUENCE_TWICE,
        "payout",
    ),
    (
        "all events of an endpoint are gone",
        lambda world, told: at(world, "DELETE FROM outbox WHERE subject_id = :id::uuid", told.endpoint_id),
        GapKind.NO_EVENTS,
        "webhook_endpoint",
    ),
    (
        "the first event of an endpoint is gone",
        lambda world, told: at(world, DELETE_EVENT, told.events["webhook_endpoint.failing"]),
        GapKind.SEQUENCE_HOLE,
        "webhook_endpoint",
    ),
    (
        "an endpoint is enabled, and no event says so",
        lambda world, told: at(
            world,
            """UPDATE webhook_endpoints SET status = 'enabled', disabled_at = NULL, disabled_reason = NULL
               WHERE id = :id::uuid""",
            told.endpoint_id,
        ),
        GapKind.STATE_DIFFERS,
        "webhook_endpoint",
    ),
    (
        "an endpoint is gone, and its events are not",
        lambda world, told: at(world, "DELETE FROM webhook_endpoints WHERE id = :id::uuid", told.endpoint_id),
        GapKind.NO_SUBJECT,
        "webhook_endpoint",
    ),
]


class TestPlantedGaps:
    @pytest.mark.parametrize(("plant", "kind", "subject"), [each[1:] for each in PLANTS], ids=[e[0] for e in PLANTS])
    def test_each_is_found_once_among_healthy_payments(
        self, world: AuditWorld, plant: Plant, kind: GapKind, subject: str
    ) -> None:
        told = [world.healthy() for _ in range(3)]
        assert world.gaps() == []
        plant(world, told[1])
        (gap,) = world.audit().gaps
        assert (gap.kind, gap.subject_type) == (kind, subject)
        assert gap.subject_id == told[1].subject_id(subject)

    def test_all_of_them_at_once(self, world: AuditWorld) -> None:
        told = [world.healthy() for _ in PLANTS]
        for one, (_, plant, _, _) in zip(told, PLANTS, strict=True):
            plant(world, one)
        assert world.gaps() == sorted((str(kind), subject) for _, _, kind, subject in PLANTS)

    def test_every_kind_is_planted(self) -> None:
        assert {kind for _, _, kind, _ in PLANTS} == set(GapKind)
        assert len(GapKind) == 13

    def test_events_of_a_payment_that_does_not_exist(self, world: AuditWorld) -> None:
        told = world.healthy()
        at(world, "DELETE FROM operations WHERE payment_id = :id::uuid", told.payment_id)
        at(world, "DELETE FROM payments WHERE id = :id::uuid", told.payment_id)
        assert world.gaps() == [("no_subject", "payment"), ("no_subject", "refund")]
