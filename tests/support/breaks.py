"""A reconciliation and a break, as the comparison of a day leaves them."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta

from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments.domain.operation import Kind
from paybridge.reconciliation.domain.breaks import Break, BreakSide, BreakType
from paybridge.reconciliation.domain.run import Run, close, new_run
from paybridge.reconciliation.store import breaks, runs

FIRST_DAY = date(2026, 1, 1)


def new_reconciliation(database: Database) -> Run:
    """A finished day that no other test has."""
    known = runs.list_runs(database, date(2026, 6, 1), 1)
    day = known[0].day + timedelta(days=1) if known else FIRST_DAY
    now = datetime.now(UTC)
    run = new_run(Uuid7Ids().new(), day, ("default",), "tests", now)
    with database.transaction() as transaction:
        assert runs.add(transaction, run)
        ended = close(run, {}, now)
        runs.save(transaction, ended)
    return ended


def new_break(database: Database, run: Run | None = None, **changes: object) -> uuid.UUID:
    """An open break of 42.00 EUR that the gateway charged and we know nothing of."""
    run = run or new_reconciliation(database)
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    values = {
        "type": BreakType.MISSING_HERE,
        "kind": Kind.CHARGE,
        "gateway": BreakSide(4_200, "EUR", "succeeded", f"ch_{uuid.uuid4()}", at),
        "effects": {"EUR": 4_200},
        **changes,
    }
    found = Break(**values)  # type: ignore[arg-type]
    with database.transaction() as transaction:
        (recorded,) = breaks.record(
            transaction, run.id, "default", run.pass_, [(Uuid7Ids().new(), found)], "tests", datetime.now(UTC)
        )
    return recorded.id
