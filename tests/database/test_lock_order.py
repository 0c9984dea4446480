"""Two batches with the same rows never deadlock: each statement that waits for rows locks them in their order."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.testkit.live import eventually
from local.testkit.locks import patient_database
from local.testkit.payments import MovableClock, new_merchant, new_payment
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.record import record_dead_letters
from paybridge.dead_letters.store import recording
from paybridge.dead_letters.store.recording import Arrival
from paybridge.fraud.domain.counting import Key, Tally, key_of
from paybridge.fraud.domain.rules import Per
from paybridge.fraud.store import counters
from paybridge.payments.domain.circuit import merchant_circuit
from paybridge.payments.domain.operation import OperationStatus
from paybridge.payments.domain.outcome import Effect
from paybridge.payments.domain.payment import Status
from paybridge.payments.store import attempts, circuits, refund_corrections
from paybridge.reconciliation.domain.breaks import BreakType
from paybridge.reconciliation.store import breaks
from paybridge.webhooks.attempts import DeliveryAttempt, SentAttempt
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.domain.endpoint import Endpoint
from paybridge.webhooks.domain.webhook import SendResult, decide
from paybridge.webhooks.endpoint_health import record_endpoints
from paybridge.webhooks.store import attempts as webhook_attempts
from paybridge.webhooks.store import deliveries, payments, recoveries
from paybridge.webhooks.store.attempts import AttemptKey
from paybridge.webhooks.store.deliveries import PaymentUrl, PendingDelivery
from paybridge.webhooks.store.receivers import Receiver
from tests.support.breaks import new_break, new_reconciliation
from tests.support.dead_letters import raw
from tests.support.plans import statements

pytestmark = pytest.mark.integration

WAITING = Statement("SELECT count(*) FROM pg_locks WHERE NOT granted")
DELIVERY = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id)
    VALUES (:id::uuid, :merchant_id::uuid, :payment_id::uuid, :id::uuid, 'payment.succeeded', 'https://x.example', '{}',
            'corr')
""")
FAILING = Statement("UPDATE webhook_endpoints SET first_failure_at = now() WHERE id = ANY (:ids::uuid[])")
ENDED = Statement("UPDATE webhook_deliveries SET status = 'failed', finished_at = now() WHERE id = :id::uuid")
PROCESSING = Statement("UPDATE payments SET status = 'processing' WHERE id = ANY (:ids::uuid[])")

# What locks one row, or a key, has no order.
OF_ONE_ROW = frozenset({
    "access.store.keys._LOCK",
    "dead_letters.store.changing._LOCK_ONE",
    "ledger.store.books._LOCK",
    "ledger.store.payouts._LOCK",
    "ledger.store.rebuilds._LOCK_PATIENTLY",
    "payments.store.reviews._LOCK_ONE",
    "reconciliation.store.breaks._LOCK",
    "reconciliation.store.runs._LOCK_DAY",
    "replay.store.replays._LOCK",
    "webhooks.store.endpoints._LOCK",
    "webhooks.store.restarts._LOCK",
})  # fmt: skip
TRIED = frozenset({
    "payments.store.attempts._FINISH",
    "payments.store.refund_corrections._LOCK_PAYMENTS",
    "reconciliation.store.breaks._LOCK_FOUND",
    "webhooks.store.attempts._START",
    "webhooks.store.deliveries._END_GONE",
    "webhooks.store.endpoints._LOCK_SOME",
    "webhooks.store.payments._TAKE_SEQUENCES",
    "webhooks.store.recoveries._LOCK_MISSED",
})  # fmt: skip

Ids = list[uuid.UUID]


@pytest.fixture
def payment_ids(database: Database) -> Ids:
    merchant_id = new_merchant(database)
    ids = sorted(new_payment(database, merchant_id) for _ in range(2))
    for id_ in ids:
        database.run(DELIVERY, id=id_, merchant_id=merchant_id, payment_id=id_)
    database.run(PROCESSING, ids=ids)
    return ids


@pytest.fixture
def other(database_address: DatabaseAddress) -> Iterator[Database]:
    # It still waits when the test looks, however slow the machine is.
    with closing(patient_database(database_address)) as other:
        yield other


def ensure_locked_in_order(
    database: Database, other: Database, lock: str, keys: list[Any], act: Callable[[Transaction], object]
) -> None:
    """Hold the first row while `act` waits for it: the second one must be free until then."""
    statement = Statement(lock)

    def run() -> None:
        with other.transaction() as transaction:
            act(transaction)

    with ThreadPoolExecutor() as threads:
        with database.transaction() as transaction:
            assert transaction.run(statement, key=keys[0])
            acting = threads.submit(run)
            eventually(lambda: transaction.run(WAITING) == [[1]], "the other transaction waits")
            # Raises LockTimeout if the other transaction has locked this one first.
            assert transaction.run(statement, key=keys[1])
        acting.result()


def result(payment_id: uuid.UUID) -> attempts.AttemptResult:
    return attempts.AttemptResult(
        id=payment_id,
        payment_id=payment_id,
        number=1,
        started_at=MovableClock().now(),
        attempt_status=OperationStatus.DECLINED,
        outcome=OperationStatus.DECLINED,
        failure_code="card_declined",
        effect=Effect.FIRST,
        status=Status.FAILED,
        payment_failure_code="card_declined",
        events=1,
    )


ACTS: dict[str, tuple[str, Callable[[Transaction, Ids], object]]] = {
    "outcomes": (
        "payments",
        lambda transaction, ids: attempts.finish(transaction, list(map(result, ids)), MovableClock().now()),
    ),
    "payments to correct": (
        "payments",
        lambda transaction, ids: refund_corrections.lock_payments(transaction, ids),
    ),
    "sequences": (
        "payments",
        lambda transaction, ids: transaction.run(
            payments._TAKE_SEQUENCES, rows=json_rows({"id": id_, "count": 1} for id_ in ids)
        ),
    ),
    "webhook attempts": (
        "webhook_deliveries",
        lambda transaction, ids: webhook_attempts.start(transaction, [AttemptKey(id_, 1) for id_ in ids]),
    ),
    "receivers that are gone": (
        "webhook_deliveries",
        lambda transaction, ids: deliveries.end_gone(
            transaction, [PaymentUrl(id_, "https://x.example") for id_ in ids]
        ),
    ),
}


@pytest.mark.parametrize("name", ACTS)
def test_payments_and_deliveries(name: str, database: Database, other: Database, payment_ids: Ids) -> None:
    table, act = ACTS[name]
    lock = f"SELECT 1 FROM {table} WHERE id = :key::uuid FOR UPDATE"  # noqa: S608
    ensure_locked_in_order(
        database, other, lock, payment_ids, lambda transaction: act(transaction, list(reversed(payment_ids)))
    )


def sent(endpoint: Endpoint, status: int) -> SentAttempt:
    """An attempt at a delivery to an endpoint that has failed before."""
    delivery = PendingDelivery(
        id=uuid.uuid4(),
        merchant_id=endpoint.merchant_id,
        payment_id=None,
        event_id=uuid.uuid4(),
        event_type="payment.succeeded",
        url=endpoint.url,
        body="{}",
        correlation_id="corr",
        attempts=1,
        schedule_offset=0,
        interrupted=0,
        secrets=[],
        endpoint_id=endpoint.id,
        is_endpoint_failing=True,
    )
    attempt = DeliveryAttempt(delivery, 1, Receiver(endpoint.merchant_id, "https://x.example:443"), has_record=True)
    return SentAttempt(attempt, SendResult(status_code=status, error=None, latency_ms=1))


@pytest.mark.parametrize("statuses", [(500, 200), (200, 500), (410, 200), (500, 500)])
def test_webhook_endpoints(statuses: tuple[int, int], database: Database, other: Database) -> None:
    merchant_id, clock, ids = new_merchant(database), MovableClock(), Uuid7Ids()
    order = EndpointOrder(url="https://x.example", events=("*",))
    made = [create_endpoint(database, clock, ids, merchant_id, order) for _ in range(2)]
    of_merchant = sorted((each.endpoint for each in made if each is not None), key=lambda endpoint: endpoint.id)
    endpoint_ids = [endpoint.id for endpoint in of_merchant]
    database.run(FAILING, ids=endpoint_ids)
    now = clock.now()
    tried = [sent(endpoint, status) for endpoint, status in zip(of_merchant, statuses, strict=True)]
    decided = [(each, decide(each.result, 1, (1.0,), now)) for each in reversed(tried)]
    lock = "SELECT 1 FROM webhook_endpoints WHERE id = :key::uuid FOR UPDATE"
    ensure_locked_in_order(
        database, other, lock, endpoint_ids, lambda transaction: record_endpoints(transaction, ids, decided, now)
    )


def test_circuits(database: Database, other: Database) -> None:
    names = sorted(merchant_circuit(uuid.uuid4()) for _ in range(2))
    with database.transaction() as transaction:
        circuits.lock(transaction, names)
    lock = "SELECT 1 FROM circuits WHERE name = :key::text FOR UPDATE"
    ensure_locked_in_order(
        database, other, lock, names, lambda transaction: circuits.lock(transaction, list(reversed(names)))
    )


def test_counters_of_screening(database: Database, other: Database) -> None:
    owner_id, now = str(uuid.uuid4()), MovableClock().now()
    keys = sorted(key_of(owner_id, Per.CUSTOMER, f"customer {number}") for number in range(2))
    totals = {key: Tally(1, {"RUB": 1}, now) for key in reversed(keys)}
    with database.transaction() as transaction:
        assert counters.lock(transaction, totals, now) == set()
    ensure_locked_in_order(
        database,
        other,
        "SELECT 1 FROM fraud_counters WHERE digest = :key::uuid FOR UPDATE",
        [key.digest for key in keys],
        lambda transaction: counters.lock(transaction, totals, now),
    )


def test_new_counters_of_screening(database: Database, other: Database) -> None:
    """Two batches that meet the same new keys, in any order, count one after the other."""
    for _ in range(20):
        owner_id, now = str(uuid.uuid4()), MovableClock().now()
        keys = [key_of(owner_id, Per.CUSTOMER, f"customer {number}") for number in range(50)]

        def lock(one: Database, order: list[Key], now: datetime = now) -> int:
            with one.transaction() as transaction:
                return len(counters.lock(transaction, {key: Tally(1, {"RUB": 1}, now) for key in order}, now))

        with ThreadPoolExecutor() as threads:
            found = list(threads.map(lock, (database, other), (keys, list(reversed(keys)))))
        assert sorted(found) == [0, 50]


def test_dead_letters(database: Database, other: Database) -> None:
    services = DeadLetterServices(database, MovableClock(), Uuid7Ids())
    recorded = record_dead_letters(services, [raw(f"{uuid.uuid4()}".encode()) for _ in range(2)])
    recorded.sort(key=lambda one: one.death.identity)
    arrivals = [Arrival(uuid.uuid4(), one.death, None, 1) for one in reversed(recorded)]
    lock = "SELECT 1 FROM dead_letters WHERE id = :key::uuid FOR UPDATE"
    ensure_locked_in_order(
        database,
        other,
        lock,
        [one.id for one in recorded],
        lambda transaction: recording.record(transaction, arrivals, services.clock.now()),
    )


def test_missed_deliveries(database: Database, other: Database, payment_ids: Ids) -> None:
    for id_ in payment_ids:
        database.run(ENDED, id=id_)
    after = datetime.now(UTC) + timedelta(minutes=1)
    lock = "SELECT 1 FROM webhook_deliveries WHERE id = :key::uuid FOR UPDATE"
    wanted = list(reversed(payment_ids))
    ensure_locked_in_order(
        database, other, lock, payment_ids, lambda transaction: recoveries.lock_missed(transaction, wanted, after, 9)
    )


def test_breaks_that_are_found_again(database: Database, other: Database) -> None:
    run = new_reconciliation(database)
    found = {new_break(database, run, operation_id=uuid.uuid4(), type=BreakType.LATE) for _ in range(2)}
    stored = [each for id_ in sorted(found) if (each := breaks.find(database, id_)) is not None]
    again = [(uuid.uuid4(), each.found) for each in reversed(stored)]
    ensure_locked_in_order(
        database,
        other,
        "SELECT 1 FROM reconciliation_breaks WHERE id = :key::uuid FOR UPDATE",
        [each.id for each in stored],
        lambda transaction: breaks.record(transaction, run.id, "default", 2, again, "tests", datetime.now(UTC)),
    )


def test_every_statement_that_waits_for_rows_is_tried() -> None:
    waiting = {
        name
        for name, statement in statements().items()
        if re.search(r"FOR UPDATE(?! OF \w+ SKIP| SKIP)", re.sub(r"\s+", " ", statement.sql))
    }
    assert waiting == TRIED | OF_ONE_ROW
