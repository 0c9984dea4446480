"""Two batches at once let no more probes through than one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from local.testkit.live import eventually
from local.testkit.locks import patient_database
from local.testkit.payments import MovableClock, new_merchant, new_payment
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.domain.circuit import (
    AFTER_PROBES_SECONDS,
    GATEWAY,
    HELD_SECONDS_MAX,
    PROBES,
    Call,
    Circuit,
    CircuitPolicy,
    merchant_circuit,
)
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, Kind, first_operation, new_operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.gateway_watch import GatewayWatch, call_of, hold_back
from paybridge.payments.store import circuits
from paybridge.payments.store.queries import get

pytestmark = pytest.mark.integration

WAITING = Statement("SELECT count(*) FROM pg_locks WHERE NOT granted")
POLICY = CircuitPolicy(3, cooldown_seconds=30)
NOW = MovableClock().now()


@pytest.fixture
def other(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(patient_database(database_address)) as other:
        yield other


def new_payments(database: Database, count: int) -> list[Payment]:
    merchant_id = new_merchant(database)
    found = (get(database, merchant_id, new_payment(database, merchant_id)) for _ in range(count))
    return [payment for payment in found if payment is not None]


def calls(payments: list[Payment]) -> list[Call]:
    return [call_of(payment, first_operation(payment, DEFAULT_GATEWAY, NOW)) for payment in payments]


def hold(database: Database, payments: list[Payment]) -> dict[UUID, float]:
    with database.transaction() as transaction:
        return hold_back(GatewayWatch(), transaction, calls(payments), POLICY, NOW)


def test_the_second_batch_waits_for_the_probes_of_the_first(database: Database, other: Database) -> None:
    ours, theirs = new_payments(database, PROBES + 2), new_payments(database, PROBES + 2)
    # Sources that have failed as often may be tried by the probes alone.
    merchants = [merchant_circuit(payments[0].merchant_id) for payments in (ours, theirs)]
    failing = {name: Circuit(3) for merchant in merchants for name in (merchant, f"{merchant}/tok_success")}
    with database.transaction() as transaction:
        circuits.lock(transaction, [GATEWAY, *failing])
        circuits.save(transaction, {GATEWAY: Circuit(3, NOW - timedelta(seconds=1)), **failing}, NOW)
    with ThreadPoolExecutor() as threads:
        with database.transaction() as transaction:
            held = hold_back(GatewayWatch(), transaction, calls(ours), POLICY, NOW)
            second = threads.submit(hold, other, theirs)
            eventually(lambda: transaction.run(WAITING) == [[1]], "the second batch waits", seconds_max=30)
        assert len(held) == 2
        assert second.result().keys() == {payment.id for payment in theirs}


def test_a_refund_of_an_old_payment_is_held_back_like_a_new_payment(database: Database) -> None:
    (payment,) = new_payments(database, 1)
    merchant = merchant_circuit(payment.merchant_id)
    failing = {name: Circuit(3) for name in (merchant, f"{merchant}/tok_success")}
    with database.transaction() as transaction:
        circuits.lock(transaction, [GATEWAY, *failing])
        circuits.save(transaction, {GATEWAY: Circuit(3, NOW + timedelta(seconds=20)), **failing}, NOW)
    old = replace(payment, created_at=NOW - timedelta(days=60))
    refund = new_operation(Kind.REFUND, old, 100, id_=Uuid7Ids().new(), correlation_id="test", now=NOW)
    charge = first_operation(old, DEFAULT_GATEWAY, NOW)
    with database.transaction() as transaction:
        waiting = [call_of(old, refund), call_of(old, charge)]
        held = hold_back(GatewayWatch(), transaction, waiting, POLICY, NOW)
    assert held == {refund.id: 20 + AFTER_PROBES_SECONDS, charge.id: HELD_SECONDS_MAX}
