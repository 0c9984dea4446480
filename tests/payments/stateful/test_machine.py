"""Random lives of payments hold every rule of the books.

The suite runs a fixed number of lives, the same ones each time. PAYBRIDGE_TEST_STATEFUL_LIVES runs that many new ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from paybridge.database.connecting import DatabaseAddress
from tests.payments.stateful.machine import PaymentMachine, Ran

pytestmark = pytest.mark.integration

LIVES_VARIABLE = "PAYBRIDGE_TEST_STATEFUL_LIVES"
LIVES = 35
STEPS_OF_A_LIFE = 40
# A machine whose rules hinder each other would find nothing.
REACHED = {f"{kind} merchant succeeded" for kind in ("charge", "authorization", "capture", "void", "refund")}


@pytest.mark.timeout(0)
def test_no_life_of_a_payment_breaks_the_books(
    database_address: DatabaseAddress, record_property: Callable[[str, object], None]
) -> None:
    ran = Ran()
    machine = type("Machine", (PaymentMachine,), {"address": database_address, "ran": ran})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get(LIVES_VARIABLE, LIVES)),
            stateful_step_count=STEPS_OF_A_LIFE,
            derandomize=LIVES_VARIABLE not in os.environ,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("steps", ran.total)
    sys.stdout.write(ran.report())
    assert ran.total > LIVES
    assert set(ran.ends) >= REACHED
