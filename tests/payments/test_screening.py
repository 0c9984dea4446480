"""Payments are screened in the transaction in which their charges begin: blocked and held ones are never charged."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows, payment_row, rows
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.records import OperationOrder, PaymentOutcome, PaymentResult
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

FREQUENT = {"velocity": {"per": "merchant", "window_seconds": 3600, "count_gte": 10}}
LIMIT, MANY, PROCESSES = 10, 1000, 2


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    return new_merchant(database)


def put(database: Database, merchant_id: uuid.UUID, action: str, **when: Any) -> None:
    rule = {"id": f"the-{action}", "action": action, "score": 7, "when": when}
    replace_fraud_rules(database, MovableClock(), merchant_id, [rule], "a test")


def run(database: Database, gateway: RecordingGateway, ids: list[uuid.UUID]) -> list[PaymentResult]:
    return asyncio.run(run_operations(engine_services(database, gateway), [OperationOrder(id_, 1) for id_ in ids]))


def events(database: Database, payment_id: uuid.UUID) -> list[tuple[str, int]]:
    found = outbox_rows(database, payment_id)
    return [(row["type"], row["sequence"]) for row in found if row["sequence"] is not None]


def statuses(database: Database, ids: list[uuid.UUID]) -> Counter[str]:
    return Counter(payment_row(database, id_)["status"] for id_ in ids)


class TestOutcomes:
    def test_a_merchant_without_rules(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id, gateway = new_payment(database, merchant_id), RecordingGateway()
        run(database, gateway, [payment_id])
        row = payment_row(database, payment_id)
        assert (row["status"], row["screening"], gateway.calls) == ("succeeded", None, [payment_id])

    def test_an_allowed_payment_is_charged_and_shows_its_screening(
        self, database: Database, merchant_id: uuid.UUID
    ) -> None:
        put(database, merchant_id, "allow")
        payment_id, gateway = new_payment(database, merchant_id), RecordingGateway()
        run(database, gateway, [payment_id])
        row = payment_row(database, payment_id)
        screening = {"decision": "allow", "score": 7, "rules": ["the-allow"]}
        assert (row["status"], row["screening"], gateway.calls) == ("succeeded", screening, [payment_id])
        bodies = [json.loads(found["body"])["data"] for found in outbox_rows(database, payment_id)]
        assert [body.get("screening") for body in bodies] == [None, screening, screening]

    @pytest.mark.parametrize(
        ("action", "status", "outcome", "failure_code"),
        [
            ("block", "failed", PaymentOutcome.FAILED, "fraud_blocked"),
            ("review", "review", PaymentOutcome.REVIEW, None),
        ],
    )
    def test_a_held_payment_is_not_charged_however_often_it_is_delivered(
        self,
        database: Database,
        merchant_id: uuid.UUID,
        action: str,
        status: str,
        outcome: PaymentOutcome,
        failure_code: str | None,
    ) -> None:
        put(database, merchant_id, action, amount_gte="100", currency_in=["RUB"])
        payment_id, gateway = new_payment(database, merchant_id), RecordingGateway()
        first, *others = [run(database, gateway, [payment_id]) for _ in range(3)]
        assert [result.outcome for result in first] == [outcome]
        assert others == [[], []]
        row = payment_row(database, payment_id)
        assert (row["status"], row["failure_code"], gateway.calls) == (status, failure_code, [])
        assert row["screening"] == {"decision": action, "score": 7, "rules": [f"the-{action}"]}
        assert (row["version"], row["gateway"]) == (2, None)
        assert events(database, payment_id) == [("payment.created", 1), (f"payment.{status}", 2)]
        assert counted(database, merchant_id) == [1, 1]

    def test_one_batch_with_every_decision(self, database: Database, merchant_id: uuid.UUID) -> None:
        rules = [
            {"id": "vip", "action": "allow", "when": {"customer_in": ["vip"]}},
            {"id": "stolen", "action": "block", "when": {"payment_method_in": ["tok_stolen"]}},
            {"id": "large", "action": "review", "when": {"amount_gte": "1000.00"}},
        ]
        replace_fraud_rules(database, MovableClock(), merchant_id, rules, "a test")
        other = new_merchant(database)
        orders: list[dict[str, Any]] = [
            {"customer": "vip", "payment_method": "tok_stolen"},
            {"payment_method": "tok_stolen", "amount_minor": 200_000},
            {"amount_minor": 100_000},
            {"amount_minor": 99_999},
        ]
        ids = [new_payment(database, merchant_id, **order) for order in orders] + [new_payment(database, other)]
        gateway = RecordingGateway()
        run(database, gateway, ids)
        found = [payment_row(database, id_) for id_ in ids]
        assert [row["status"] for row in found] == ["succeeded", "failed", "review", "succeeded", "succeeded"]
        assert [row["screening"] and row["screening"]["rules"] for row in found] == [
            ["vip"],
            ["stolen", "large"],
            ["large"],
            [],
            None,
        ]
        assert sorted(gateway.calls) == sorted([ids[0], ids[3], ids[4]])


class TestDeath:
    @pytest.mark.parametrize("action", ["allow", "review", "block"])
    def test_leaves_all_or_nothing(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID, action: str
    ) -> None:
        put(database, merchant_id, action)
        payment_id = new_payment(database, merchant_id)

        def act(dying: Database) -> None:
            services = engine_services(dying, RecordingGateway())
            start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch())

        def look() -> list[Any]:
            decisions = "SELECT to_json(d) FROM fraud_decisions d WHERE payment_id = :id::uuid"
            operations = "SELECT to_json(o) FROM operations o WHERE payment_id = :id::uuid"
            return [
                payment_row(database, payment_id),
                outbox_rows(database, payment_id),
                counted(database, merchant_id),
                rows(database, decisions, id=payment_id),
                rows(database, operations, id=payment_id),
            ]

        assert die_at_every_step(database_address, act, look) >= 8


class TestManyAtOnce:
    def test_in_one_batch(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, "block", **FREQUENT)
        ids = [new_payment(database, merchant_id) for _ in range(MANY)]
        gateway = RecordingGateway()
        run(database, gateway, ids)
        assert statuses(database, ids) == {"succeeded": LIMIT, "failed": MANY - LIMIT}
        assert len(gateway.calls) == LIMIT

    def test_in_threads_that_share_messages(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID
    ) -> None:
        """Every message is delivered to two of the threads, in small batches of either order."""
        put(database, merchant_id, "review", **FREQUENT)
        ids = [new_payment(database, merchant_id) for _ in range(300)]
        gateway = RecordingGateway()

        def consume(part: int) -> None:
            own = ids if part % 2 else list(reversed(ids))
            with closing(Database(database_address)) as one:
                for start in range(0, len(own), 7 + part):
                    run(one, gateway, own[start : start + 7 + part])

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(consume, range(4)))
        finish(database, gateway, ids)
        assert statuses(database, ids) == {"succeeded": LIMIT, "review": len(ids) - LIMIT}
        assert counted(database, merchant_id) == [300, 300]
        assert len(set(gateway.calls)) == LIMIT

    def test_in_processes(self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, "block", **FREQUENT)
        ids = [new_payment(database, merchant_id) for _ in range(MANY)]
        context = multiprocessing.get_context("spawn")
        shards = [(database_address, ids[shard::PROCESSES]) for shard in range(PROCESSES)]
        with context.Pool(PROCESSES) as pool:
            charged = sum(pool.starmap(consume_in_batches, shards))
        gateway = RecordingGateway()
        finish(database, gateway, ids)
        assert statuses(database, ids) == {"succeeded": LIMIT, "failed": MANY - LIMIT}
        assert charged + len(gateway.calls) == LIMIT


def consume_in_batches(address: DatabaseAddress, ids: list[uuid.UUID]) -> int:
    """Charge the payments in batches in a separate process, and return how many calls that took."""
    gateway = RecordingGateway()
    with closing(Database(address)) as database:
        for start in range(0, len(ids), 25):
            run(database, gateway, ids[start : start + 25])
    return len(gateway.calls)


def finish(database: Database, gateway: RecordingGateway, ids: list[uuid.UUID]) -> None:
    """Deliver again what was put off because another consumer held the counter for too long."""
    waiting = [id_ for id_ in ids if payment_row(database, id_)["status"] == "pending"]
    run(database, gateway, waiting)


def counted(database: Database, merchant_id: uuid.UUID) -> list[int]:
    """How many payments each counter of the merchant holds: of the method, which is one here, and of the merchant."""
    sql = "SELECT to_json(count) FROM fraud_counters WHERE owner_id = :id::uuid"
    counts: list[Any] = rows(database, sql, id=merchant_id)
    return counts
