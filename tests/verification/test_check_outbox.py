"""The audit as a check: gaps break it, and a lack of time neither proves nor breaks anything."""

from __future__ import annotations

import pytest

from local.testkit.payments import captured_payment, new_merchant, new_payment
from paybridge.audit.ports import AuditServices
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database
from paybridge.verification import check_outbox as module
from paybridge.verification.check_outbox import check_outbox
from paybridge.wiring.audit import services_over

pytestmark = pytest.mark.integration


@pytest.fixture
def services(database: Database) -> AuditServices:
    return services_over(database, SystemClock(), frozenset())


def test_a_healthy_outbox_holds(services: AuditServices, database: Database) -> None:
    new_payment(database, new_merchant(database))
    for full in (False, True):
        finding = check_outbox(services, full)
        assert (finding.holds, finding.detail) == (True, "")
        assert finding.checked >= 2


def test_an_audit_that_was_too_slow_is_no_proof(services: AuditServices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_MAX", 0.0)
    finding = check_outbox(services, False)
    assert finding.holds is None
    assert finding.detail == "25% was audited in time: `paybridge outbox audit` does it all"


def test_gaps_are_counted_by_kind_and_the_first_is_named(services: AuditServices, database: Database) -> None:
    payment_id = captured_payment(database, new_merchant(database))
    finding = check_outbox(services, False)
    assert finding.holds is False
    expected = f"1 state_differs; first payment {payment_id}: succeeded, and the last event is payment.created"
    assert finding.detail == expected
