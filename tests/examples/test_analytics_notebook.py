"""The example notebook runs on the CSV that we make, and finds the months that we answer."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from local.settings import PROJECT
from local.testkit.payments import new_merchant
from paybridge.analytics.domain import COLUMNS, csv_lines
from paybridge.database.database import Database
from tests.support.analytics import NOON, World

pytestmark = pytest.mark.integration

PYTHON = PROJECT / ".venv-notebook/bin/python"
NOTEBOOK = PROJECT / "examples/analytics/days.ipynb"
RUNNER = PROJECT / "tests/support/run_notebook.py"


@pytest.fixture
def world(database: Database) -> World:
    """A merchant with 40 days in one currency and a day in another."""
    world = World(database, new_merchant(database))
    for number in range(40):
        outcome = "failed" if number == 30 or number % 9 == 0 else "succeeded"
        world.write(*world.payment((outcome, number), begin_at=NOON + timedelta(days=number)))
    world.write(*world.payment(("succeeded", 1), amount="999999999999999", currency="JPY"))
    world.write(*world.refund(("succeeded", 1)))
    world.update()
    return world


def test_it_finds_the_months_that_the_api_answers(world: World, tmp_path: Path, notebook_environment: None) -> None:
    csv = tmp_path / "days.csv"
    csv.write_text("\r\n".join(csv_lines(COLUMNS, world.days())), encoding="utf-8", newline="")
    ran = subprocess.run(
        [str(PYTHON), "-P", "-W", "error", str(RUNNER), str(NOTEBOOK)],
        env={**os.environ, "DAYS_CSV": str(csv)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = {(month["currency"], month["day"]): month for month in json.loads(ran.stdout)}
    expected = {(month["currency"], month["month"]): month for month in world.months()}
    assert found.keys() == expected.keys()
    for key, month in expected.items():
        assert Decimal(found[key]["volume"]) == Decimal(month["volume"])
        assert [found[key][name] for name in ("payments", "succeeded", "failed")] == [
            month[name] for name in ("payments", "succeeded", "failed")
        ]
        assert found[key]["failure_rate"] == pytest.approx(float(month["failure_rate"]), abs=1e-6)
