"""Circuits and paces as several batches write them."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from local.testkit.payments import MovableClock
from paybridge.core.errors import ConstraintViolated
from paybridge.database.database import Database
from paybridge.payments.domain.circuit import Call, Circuit, merchant_circuit
from paybridge.payments.domain.pace import Pace
from paybridge.payments.store import circuits

pytestmark = pytest.mark.integration


def test_a_batch_gives_no_call_back_that_another_has_taken(database: Database) -> None:
    name, now = merchant_circuit(uuid.uuid4()), MovableClock().now()
    later, earlier = (Pace(5.0, now + timedelta(seconds=seconds), now + timedelta(60)) for seconds in (9, 2))
    with database.transaction() as transaction:
        circuits.lock(transaction, [name])
        circuits.save_paces(transaction, {name: later}, now)
        circuits.save_paces(transaction, {name: earlier}, now)
        assert circuits.read(transaction, [name])[name].pace == later


def test_each_source_is_changed_alone(database: Database) -> None:
    changed, other = (merchant_circuit(uuid.uuid4()) for _ in range(2))
    now = MovableClock().now()
    with database.transaction() as transaction:
        circuits.lock(transaction, [changed, other])
        circuits.save(transaction, {changed: Circuit(3, now)}, now)
        circuits.save_paces(transaction, {changed: Pace(5.0, now, now)}, now)
        found = circuits.read(transaction, [changed, other])
    assert found == {
        changed: circuits.Source(Circuit(3, now), Pace(5.0, now, now)),
        other: circuits.Source(Circuit(), None),
    }


def test_every_gateway_has_rows_of_its_own(database: Database) -> None:
    now = MovableClock().now()
    merchant_id = uuid.uuid4()
    calls = [Call(uuid.uuid4(), merchant_id, "pm/1 x", now, gateway) for gateway in ("default", "stripe", "g2_b")]
    names = sorted({name for call in calls for name in call.circuits})
    with database.transaction() as transaction:
        assert circuits.lock(transaction, names).keys() == set(names)
    assert len(names) == 9


@pytest.mark.parametrize(
    "name", ["", "gateway/", "gateway/Stripe", "gateway/a/b", "merchant/1", "gateway/stripe/merchant/", "x/merchant/1"]
)
def test_a_name_of_nothing_is_refused(database: Database, name: str) -> None:
    with pytest.raises(ConstraintViolated), database.transaction() as transaction:
        circuits.lock(transaction, [name])
