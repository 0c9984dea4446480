"""The timeline of a payment."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from local.testkit.api import ORDER, ApiClient
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement

# What relay, consumer and webhooks write, at fixed times.
_STORY = [
    "UPDATE outbox SET published_at = created_at + interval '1 s' WHERE payment_id = :id::uuid AND sequence = 1",
    """
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            finished_at, attempt_status, gateway_id, correlation_id, created_at, updated_at)
    SELECT id, id, merchant_id, 'charge', 'default', amount_minor, 'succeeded', 1, created_at + interval '2 s',
           created_at + interval '3 s', 'succeeded', 'ch_1', correlation_id, created_at, created_at
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

_GO_TO_ENDPOINT = Statement("UPDATE webhook_deliveries SET endpoint_id = :endpoint_id::uuid WHERE id = :id::uuid")
_GIVEN_UP = [
    """
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, routing_key, body, correlation_id, created_at)
    SELECT gen_random_uuid(), id, merchant_id, 2, 'webhook.exhausted', 'webhook.exhausted',
           json_build_object('data', json_build_object('delivery_id', :delivery::uuid, 'event_type', 'refund.created')),
           correlation_id, created_at + interval '9 s'
    FROM payments WHERE id = :id::uuid
    """
]

# Two refunds: one that the gateway has given and taken back, and one whose attempt is under way.
_REFUNDS = [
    """
    INSERT INTO operations (id, payment_id, merchant_id, kind, cause, gateway, amount_minor, status, number,
                            started_at, finished_at, attempt_status, gateway_id, target_gateway_id, failure_code,
                            correlation_id, last_sequence, created_at, updated_at)
    SELECT refund.id, payment.id, merchant_id, kind, cause, 'default', 3000, refund.status, number,
           at + make_interval(secs => number),
           CASE WHEN refund.status <> 'started' THEN at + make_interval(secs => number + 0.5) END,
           CASE WHEN refund.status <> 'started' THEN 'succeeded' END, refund.gateway_id,
           CASE WHEN kind = 'refund_reversal' THEN refund.gateway_id END, refund.failure_code, correlation_id, 1, at, at
    FROM payments payment, LATERAL (VALUES
        (:first::uuid, 'refund', 'merchant', 'reversed', 2, payment.created_at + interval '10 s', 're_1', 'returned'),
        (:reversal::uuid, 'refund_reversal', 'gateway', 'succeeded', 0, payment.created_at + interval '30 s', 're_1',
         NULL),
        (:second::uuid, 'refund', 'merchant', 'started', 1, payment.created_at + interval '20 s', NULL, NULL)
    ) AS refund (id, kind, cause, status, number, at, gateway_id, failure_code)
    WHERE payment.id = :id::uuid
    """,
    """
    INSERT INTO operation_attempts (operation_id, number, status, error, started_at, finished_at)
    SELECT :first::uuid, 1, 'unknown', 'no answer before the deadline', created_at + interval '11 s',
           created_at + interval '11.5 s'
    FROM payments WHERE id = :id::uuid
    """,
    """
    INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange, routing_key,
                        body, correlation_id, created_at)
    SELECT gen_random_uuid(), id, merchant_id, 'refund', refund_id, sequence, type, 'payments.events', type, '{}',
           correlation_id, created_at + make_interval(secs => at)
    FROM payments, LATERAL (VALUES
        (:first::uuid, 1, 'refund.created', 10), (:first::uuid, 2, 'refund.succeeded', 12.5),
        (:second::uuid, 1, 'refund.created', 20), (:first::uuid, 3, 'refund.failed', 30)
    ) AS event (refund_id, sequence, type, at)
    WHERE id = :id::uuid
    """,
]

_REVIEW = [
    _STORY[0],
    """
    UPDATE payments SET status = 'review', screening = '{"decision": "review", "score": 60, "rules": ["large"]}'
    WHERE id = :id::uuid
    """,
    """
    INSERT INTO fraud_decisions (payment_id, merchant_id, rule_set_version, decision, score, rules, facts, screened_at,
                                 review_expires_at, answer, actor, note, answered_at)
    SELECT id, merchant_id, 3, 'review', 60, '["large"]', '{}', created_at + interval '2 s', '2026-12-02 12:00:00+00',
           'rejected', 'operator key 7', 'Stolen card.', created_at + interval '9 s'
    FROM payments WHERE id = :id::uuid
    """,
    """
    INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange, routing_key,
                        body, correlation_id, created_at)
    SELECT gen_random_uuid(), id, merchant_id, 'payment', id, sequence, type, 'payments.events', type, '{}',
           correlation_id, created_at + make_interval(secs => at)
    FROM payments, LATERAL (VALUES (2, 'payment.review', 2), (3, 'payment.failed', 9)) AS event (sequence, type, at)
    WHERE id = :id::uuid
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
        write(database, _STORY[:3], id=created.json()["payment_id"])
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
        write(database, _STORY, id=created.json()["payment_id"], delivery=delivery)
        payment = client.get(created.headers["location"]).body.decode()
        timeline = client.get(created.headers["location"] + "/events").body.decode()
        times = re.findall(r'"([a-z_]*at)":"([^"]*)"', payment + timeline)
        assert {"created_at", "updated_at", "at"} <= {name for name, _ in times}
        for name, time in times:
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", time), (name, time)

    def test_lists_every_step_from_request_to_webhook_in_order(self, client: ApiClient, database: Database) -> None:
        created = client.create(ORDER)
        delivery = uuid.uuid4()
        write(database, _STORY, id=created.json()["payment_id"], delivery=delivery)
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
            "endpoint_id": None,
            "number": 1,
            "response_status": 200,
            "error": None,
            "latency_ms": 12,
        }

    def test_names_the_endpoint_that_a_webhook_goes_to(self, client: ApiClient, database: Database) -> None:
        created = client.create(ORDER)
        delivery, endpoint = uuid.uuid4(), uuid.uuid4()
        write(database, _STORY, id=created.json()["payment_id"], delivery=delivery)
        database.run(_GO_TO_ENDPOINT, id=delivery, endpoint_id=endpoint)
        entries = client.get(created.headers["location"] + "/events").json()["data"]
        named = {entry["type"]: entry["details"]["endpoint_id"] for entry in entries if "webhook" in entry["type"]}
        assert named == {"webhook.scheduled": str(endpoint), "webhook.attempt_delivered": str(endpoint)}

    def test_a_webhook_that_was_given_up_is_named(self, client: ApiClient, database: Database) -> None:
        # A payment has webhooks of several types, so the entry says which of them its receiver never got.
        created = client.create(ORDER)
        delivery = uuid.uuid4()
        write(database, _GIVEN_UP, id=created.json()["payment_id"], delivery=delivery)
        [entry] = [
            entry
            for entry in client.get(created.headers["location"] + "/events").json()["data"]
            if entry["type"] == "webhook.exhausted"
        ]
        assert entry["sequence"] == 2
        assert (entry["details"]["delivery_id"], entry["details"]["event_type"]) == (str(delivery), "refund.created")

    def test_every_operation_has_its_attempts_and_every_refund_its_own_sequence(
        self, client: ApiClient, database: Database
    ) -> None:
        created = client.create(ORDER)
        ids = {name: Uuid7Ids().new() for name in ("first", "second", "reversal")}
        write(database, [*_STORY[:3], *_REFUNDS], id=created.json()["payment_id"], **ids)
        entries = client.get(created.headers["location"] + "/events").json()["data"]
        assert [
            (entry["type"], entry["sequence"], entry["details"].get("operation"), entry["details"].get("number"))
            for entry in entries[6:]
        ] == [
            ("refund.created", 1, None, None),
            ("operation.accepted", None, "refund", None),
            ("gateway.attempt_started", None, "refund", 1),
            ("gateway.attempt_unknown", None, "refund", 1),
            ("gateway.attempt_started", None, "refund", 2),
            ("gateway.attempt_succeeded", None, "refund", 2),
            ("refund.succeeded", 2, None, None),
            ("refund.created", 1, None, None),
            ("operation.accepted", None, "refund", None),
            ("gateway.attempt_started", None, "refund", 1),
            ("gateway.refund_reversed", None, "refund_reversal", None),
            ("refund.failed", 3, None, None),
        ]
        details = [entry["details"] for entry in entries[6:]]
        assert details[0]["refund_id"] == details[1]["operation_id"] == details[2]["operation_id"] == str(ids["first"])
        assert details[-2]["refund_id"] == details[-1]["refund_id"] == str(ids["first"])
        assert details[1] == {
            "operation": "refund",
            "operation_id": str(ids["first"]),
            "cause": "merchant",
            "amount": "30.00",
        }
        assert details[9] == {"operation": "refund", "operation_id": str(ids["second"]), "number": 1}
        assert [entry["details"]["operation_id"] for entry in entries[2:4]] == [created.json()["payment_id"]] * 2

    def test_screening_and_the_answer_to_its_review_are_steps(self, client: ApiClient, database: Database) -> None:
        created = client.create(ORDER)
        write(database, _REVIEW, id=created.json()["payment_id"])
        entries = client.get(created.headers["location"] + "/events").json()["data"]
        assert [entry["type"] for entry in entries] == [
            "payment.created",
            "event.relayed",
            "screening.decided",
            "payment.review",
            "review.rejected",
            "payment.failed",
        ]
        assert entries[2]["details"] == {
            "decision": "review",
            "score": 60,
            "rules": ["large"],
            "rule_set_version": 3,
            "facts": {},
        }
        assert entries[4]["details"] == {"actor": "operator key 7", "note": "Stolen card."}


def write(database: Database, statements: list[str], **parameters: Any) -> None:
    """Run the statements, each with those of the parameters that it names."""
    for sql in statements:
        names = {name: value for name, value in parameters.items() if f":{name}::" in sql}
        database.run(Statement(sql), **names)
