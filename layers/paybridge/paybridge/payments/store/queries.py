"""Read a payment and its timeline, for its merchant or for staff. Lists are in `listing`."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.store.row import COLUMNS, payment_from_row

_GET = Statement(f"SELECT {COLUMNS} FROM payments p WHERE p.id = :id::uuid AND p.merchant_id = :merchant_id::uuid")
_GET_OF_ANY = Statement(f"SELECT {COLUMNS} FROM payments p WHERE p.id = :id::uuid")

# Each table is read once. A row about two things makes two entries, the second only once it has happened. An entry
# shows what was known at its time: how a delivery stands now is no part of its being scheduled. The charge or
# authorization is found by its id, which is the payment's, and the others by an index that holds nothing else. The
# newest attempt stands in its operation, and has a row only once another one has followed.
_TIMELINE = Statement("""
    WITH payment AS MATERIALIZED (
        SELECT id FROM payments WHERE id = :id::uuid AND merchant_id = :merchant_id::uuid
    ), deliveries AS MATERIALIZED (
        SELECT delivery.* FROM payment JOIN webhook_deliveries delivery ON delivery.payment_id = payment.id
    ), asked AS MATERIALIZED (
        SELECT first.* FROM payment JOIN operations first ON first.id = payment.id
      UNION ALL
        SELECT later.* FROM payment
        JOIN operations later ON later.payment_id = payment.id AND later.id <> later.payment_id
    ), ended AS MATERIALIZED (
        SELECT asked.kind, attempt.* FROM asked JOIN operation_attempts attempt ON attempt.operation_id = asked.id
    ), attempts AS (
        SELECT kind, operation_id, number, status, failure_code, gateway_code, approved_minor, error, started_at,
               pending_at, finished_at
        FROM ended
      UNION ALL
        SELECT kind, id, number, CASE WHEN status = 'started' THEN status ELSE attempt_status END, failure_code,
               gateway_code, approved_minor, error,
               started_at, pending_at, CASE WHEN status <> 'started' THEN finished_at END
        FROM asked
        WHERE number > 0 AND NOT EXISTS (
            SELECT FROM ended WHERE ended.operation_id = asked.id AND ended.number = asked.number)
    )
    SELECT type, at, sequence, details FROM (
        SELECT entry.type, entry.at, event.sequence, entry.details
        FROM payment JOIN outbox event ON event.payment_id = payment.id, LATERAL (VALUES
            (event.type, event.created_at,
             CASE WHEN event.type = 'webhook.exhausted'
                  THEN json_build_object('event_id', event.id,
                                         'delivery_id', event.body::json #> '{data,delivery_id}',
                                         'event_type', event.body::json #> '{data,event_type}',
                                         'attempts', event.body::json #> '{data,attempts}')
                  WHEN event.subject_type = 'refund'
                  THEN json_build_object('event_id', event.id, 'refund_id', event.subject_id)
                  ELSE json_build_object('event_id', event.id) END),
            ('event.relayed', event.published_at,
             CASE event.subject_type WHEN 'refund'
                  THEN json_build_object('event_id', event.id, 'event_type', event.type, 'refund_id', event.subject_id)
                  ELSE json_build_object('event_id', event.id, 'event_type', event.type) END)
        ) AS entry (type, at, details)
        -- Facts about operations are for the ledger. The operations are in the timeline anyway.
        WHERE event.sequence IS NOT NULL AND event.subject_type IS DISTINCT FROM 'operation'
      UNION ALL
        SELECT CASE kind WHEN 'refund_reversal' THEN 'gateway.refund_reversed' ELSE 'operation.accepted' END,
               created_at, NULL,
               CASE kind WHEN 'refund_reversal'
                    THEN json_build_object('operation', kind, 'operation_id', id, 'amount_minor', amount_minor,
                        'refund_id', (SELECT refund.id FROM asked refund
                                      WHERE refund.status = 'reversed' AND refund.gateway_id = asked.target_gateway_id
                                      LIMIT 1))
                    ELSE json_build_object('operation', kind, 'operation_id', id, 'cause', cause,
                                           'amount_minor', amount_minor) END
        FROM asked
        -- A charge or authorization is accepted with its payment. The gateway was not asked for what it did unprompted.
        WHERE id <> payment_id AND (kind = 'refund_reversal' OR cause <> 'gateway')
      UNION ALL
        SELECT entry.type, entry.at, NULL, entry.details
        FROM attempts attempt, LATERAL (VALUES
            ('gateway.attempt_started', attempt.started_at,
             json_build_object('operation', attempt.kind, 'operation_id', attempt.operation_id,
                               'number', attempt.number)),
            ('gateway.attempt_pending', attempt.pending_at,
             json_build_object('operation', attempt.kind, 'operation_id', attempt.operation_id,
                               'number', attempt.number)),
            ('gateway.attempt_' || attempt.status,
             CASE WHEN attempt.status <> 'pending' THEN attempt.finished_at END,
             json_build_object('operation', attempt.kind, 'operation_id', attempt.operation_id,
                               'number', attempt.number, 'error', attempt.error,
                               'failure_code', attempt.failure_code, 'gateway_code', attempt.gateway_code,
                               'approved_minor', attempt.approved_minor))
        ) AS entry (type, at, details)
      UNION ALL
        SELECT 'gateway.charge_to_return', found_at, NULL,
               json_build_object('gateway_id', gateway_id, 'reason', reason, 'amount_minor', amount_minor,
                                 'currency', currency)
        FROM payment JOIN charges_to_return charge ON charge.payment_id = payment.id
      UNION ALL
        SELECT entry.type, entry.at, NULL, entry.details
        FROM payment JOIN fraud_decisions decision ON decision.payment_id = payment.id, LATERAL (VALUES
            ('screening.decided', decision.screened_at,
             json_build_object('decision', decision.decision, 'score', decision.score, 'rules', decision.rules,
                               'rule_set_version', decision.rule_set_version, 'facts', decision.facts)),
            ('review.' || decision.answer, decision.answered_at,
             json_build_object('actor', decision.actor, 'note', decision.note))
        ) AS entry (type, at, details)
      UNION ALL
        SELECT 'webhook.scheduled', created_at, NULL,
               json_build_object('delivery_id', id, 'event_id', event_id, 'event_type', event_type,
                                 'endpoint_id', endpoint_id)
        FROM deliveries
      UNION ALL
        SELECT 'webhook.attempt_' || attempt.status, coalesce(attempt.finished_at, attempt.started_at), NULL,
               json_build_object('delivery_id', delivery.id, 'event_type', delivery.event_type,
                                 'endpoint_id', delivery.endpoint_id, 'number', number,
                                 'response_status', response_status, 'error', error, 'latency_ms', latency_ms)
        FROM deliveries delivery JOIN webhook_attempts attempt ON attempt.delivery_id = delivery.id
      UNION ALL
        -- Only the newest attempt is stored.
        SELECT entry.type, entry.at, NULL, entry.details
        FROM payment JOIN notifications told ON told.payment_id = payment.id, LATERAL (VALUES
            ('notification.scheduled', told.created_at,
             json_build_object('notification_id', told.id, 'event_id', told.event_id, 'event_type', told.event_type,
                               'channel', told.channel, 'contact', told.contact, 'pattern', told.pattern)),
            (CASE told.status WHEN 'pending' THEN 'notification.attempt_failed'
                              WHEN 'sending' THEN 'notification.attempt_started'
                              ELSE 'notification.' || told.status END,
             coalesce(told.finished_at, told.claimed_at),
             json_build_object('notification_id', told.id, 'event_type', told.event_type, 'channel', told.channel,
                               'contact', told.contact, 'number', told.attempts, 'error', told.error,
                               'provider_message_id', told.provider_message_id,
                               'next_attempt_at', told.next_attempt_at))
        ) AS entry (type, at, details)
    ) AS entries
    WHERE at IS NOT NULL
""")


def get(database: Database, merchant_id: UUID | None, payment_id: UUID) -> Payment | None:
    """Return the payment, None if there is none or it belongs to another merchant than the one given."""
    if merchant_id is None:
        rows = database.run(_GET_OF_ANY, id=payment_id)
    else:
        rows = database.run(_GET, id=payment_id, merchant_id=merchant_id)
    return payment_from_row(rows[0]) if rows else None


def timeline(database: Database, merchant_id: UUID, payment_id: UUID) -> list[TimelineEntry]:
    """Return the payment's events, their publication, gateway attempts, webhooks and notifications, in no order."""
    return [TimelineEntry(*row) for row in database.run(_TIMELINE, id=payment_id, merchant_id=merchant_id)]
