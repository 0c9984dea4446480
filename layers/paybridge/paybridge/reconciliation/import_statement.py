"""Import the statement of a gateway that does not give it to us, and compare its day."""

from __future__ import annotations

from datetime import date

from paybridge.core.errors import InvalidInput
from paybridge.payments.domain.operation import Kind
from paybridge.reconciliation.csv_statement import parse_statement
from paybridge.reconciliation.domain.run import Run
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import check_day, compare_from_start, lock_day
from paybridge.reconciliation.store import runs, statements
from paybridge.reconciliation.store.statements import NewStatement

# Lines written by one statement.
PART_LINES = 5_000


def import_statement(services: ReconciliationServices, day: date, gateway: str, content: bytes, actor: str) -> Run:
    """Store the lines of a CSV as the gateway's statement for the day, in place of an earlier one; compare the day.

    All lines are stored and the day is compared from the start, or nothing happens. Lines of another day count as the
    grace window of this one. Raises StatementInvalid, InvalidInput (`day_invalid`, `time_in_future`,
    `gateway_unknown`), MonthsArchived and DatabaseUnavailable.
    """
    check_day(services, day)
    _check_gateway(services, gateway)
    lines = parse_statement(content)
    has_holds = any(line.kind in {Kind.AUTHORIZATION, Kind.VOID} for line in lines)
    id_ = services.ids.new()
    statement = NewStatement(id_, gateway, day, "import", has_holds, actor, services.clock.now())
    with services.database.transaction() as transaction:
        # Before the statement, as every slice locks them.
        locked = lock_day(services, transaction, day, actor)
        statements.replace(transaction, statement)
        for first in range(0, len(lines), PART_LINES):
            statements.add_lines(transaction, id_, lines[first : first + PART_LINES], first + 1, day)
        return compare_from_start(services, transaction, locked, actor)


def _check_gateway(services: ReconciliationServices, gateway: str) -> None:
    """Raise InvalidInput for a name that no payment has gone to: each line would be a break."""
    if gateway in services.sources or runs.has_gateway(services.database, gateway):
        return
    names = ", ".join(sorted(services.sources))
    detail = f"There is no gateway {gateway!r}. Send one of {names}, or one that was configured before."
    raise InvalidInput("gateway_unknown", detail, "gateway")
