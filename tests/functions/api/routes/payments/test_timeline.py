"""The timeline of a payment."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

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


# As a payment that was made in the first microsecond of a second.
_WHOLE_SECONDS = """
    WITH whole AS (
        UPDATE payments SET created_at = date_trunc('second', created_at), updated_at = date_trunc('second', updated_at)
        WHERE id = :id::uuid RETURNING id
    )
    UPDATE outbox SET created_at = date_trunc('second', outbox.created_at) FROM whole WHERE payment_id = whole.id
"""


class TestTimeline:
    def test_a_new_payment_has_one_entry(self, client: ApiClient) -> None:
        created = client.create(ORDER)
        [entry] = client.get(created.headers["location"] + "/events").json()["data"]
        assert (entry["type"], entry["sequence"]) == ("payment.created", 1)
        assert entry["at"] == created.json()["created_at"]

    def test_a_timeline_that_is_too_large_for_one_answer_has_pages(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch, database: Database
    ) -> None:
        created = client.create(ORDER)
        path = created.headers["location"] + "/events"
        for sql in _STORY[:3]:
            database.run(Statement(sql), id=created.json()["payment_id"])
        whole = client.get(path).json()
        assert (whole["has_more"], whole["next_cursor"]) == (False, None)
        monkeypatch.setattr("api.routes.payments.routes.count_fitting", lambda items: min(len(items), 2))
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get(path, query={"cursor": cursor}).json()
            assert page["has_more"] == (page["next_cursor"] is not None)
            seen += page["data"]
            cursor = page["next_cursor"]
        assert seen == whole["data"]
        first = client.get(path).json()["next_cursor"]
        other = client.create(ORDER).headers["location"] + "/events"
        for query in ({"cursor": "x"}, {"cursor": "x" * 100}):
            assert client.get(path, query=query).json()["errors"][0]["code"] == "cursor_invalid"
        assert client.get(other, query={"cursor": first}).json()["code"] == "cursor_invalid"

    def test_times_always_have_six_digits(self, client: ApiClient, database: Database) -> None:
        created = client.create(ORDER)
        delivery = uuid.uuid4()
        database.run(Statement(_WHOLE_SECONDS), id=created.json()["payment_id"])
        for sql in _STORY:
            parameters: dict[str, Any] = {"id": created.json()["payment_id"], "delivery": delivery}
            database.run(Statement(sql), **{name: value for name, value in parameters.items() if f":{name}::" in sql})
        payment = client.get(created.headers["location"]).body.decode()
        timeline = client.get(created.headers["location"] + "/events").body.decode()
        times = re.findall(r'"([a-z_]*at)":"([^"]*)"', payment + timeline)
        assert {"created_at", "updated_at", "at"} <= {name for name, _ in times}
        for name, time in times:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", time), (name, time)

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
