"""The timeline of a payment."""

from __future__ import annotations

import uuid
from typing import Any

from local.testkit.api import ORDER, ApiClient
from paybridge.database.database import Database, Statement

# What relay, consumer and webhooks write, at fixed times.
_STORY = [
    "UPDATE outbox SET published_at = created_at + interval '1 s' WHERE payment_id = :id::uuid AND sequence = 1",
    """
    INSERT INTO payment_attempts (payment_id, operation, number, status, gateway_id, started_at, finished_at)
    SELECT id, 'charge', 1, 'succeeded', 'ch_1', created_at + interval '2 s', created_at + interval '3 s'
    FROM payments WHERE id = :id::uuid
    """,
    """
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id,
                        created_at, published_at)
    SELECT gen_random_uuid(), id, merchant_id, 2, 'payment.succeeded', 'payments.events', 'payment.succeeded', '{}',
           correlation_id, created_at + interval '3 s', created_at + interval '4 s'
    FROM payments WHERE id = :id::uuid
    """,
    """
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id,
                                    status, attempts, created_at, finished_at)
    SELECT :delivery::uuid, merchant_id, id, gen_random_uuid(), 'payment.succeeded', 'https://example.com', '{}',
           correlation_id, 'delivered', 1, created_at + interval '5 s', created_at + interval '6 s'
    FROM payments WHERE id = :id::uuid
    """,
    """
    INSERT INTO webhook_attempts (delivery_id, number, status, response_status, latency_ms, started_at, finished_at)
    SELECT :delivery::uuid, 1, 'delivered', 200, 12, created_at + interval '5 s', created_at + interval '6 s'
    FROM payments WHERE id = :id::uuid
    """,
    # A command is not a fact, so the timeline does not show it.
    """
    INSERT INTO outbox (id, payment_id, merchant_id, type, exchange, routing_key, body, correlation_id)
    SELECT gen_random_uuid(), id, merchant_id, 'command.process_payment', 'payments', 'payments.new', '{}', 'c'
    FROM payments WHERE id = :id::uuid
    """,
]


class TestTimeline:
    def test_a_new_payment_has_one_entry(self, client: ApiClient) -> None:
        created = client.create(ORDER)
        [entry] = client.get(created.headers["location"] + "/events").json()["data"]
        assert (entry["type"], entry["sequence"]) == ("payment.created", 1)
        assert entry["at"] == created.json()["created_at"]

    def test_lists_every_step_from_request_to_webhook_in_order(self, client: ApiClient, database: Database) -> None:
        created = client.create(ORDER)
        delivery = uuid.uuid4()
        for sql in _STORY:
            parameters: dict[str, Any] = {"id": created.json()["payment_id"], "delivery": delivery}
            names = {name: value for name, value in parameters.items() if f":{name}::" in sql}
            database.run(Statement(sql), **names)
        entries = client.get(created.headers["location"] + "/events").json()["data"]
        assert [(entry["type"], entry["sequence"]) for entry in entries] == [
            ("payment.created", 1),
            ("event.relayed", 1),
            ("gateway.attempt_started", None),
            ("gateway.attempt_succeeded", None),
            ("payment.succeeded", 2),
            ("event.relayed", 2),
            ("webhook.scheduled", None),
            ("webhook.attempt_delivered", None),
        ]
        assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
        assert entries[-1]["details"] == {
            "delivery_id": str(delivery),
            "event_type": "payment.succeeded",
            "number": 1,
            "response_status": 200,
            "error": None,
            "latency_ms": 12,
        }
