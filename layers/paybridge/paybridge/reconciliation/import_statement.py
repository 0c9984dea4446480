"""Import the statement of a gateway that does not give it to us, and compare its day."""

from __future__ import annotations

from datetime import date

from paybridge.core.errors import InvalidInput
from paybridge.payments.domain.operation import Kind
from paybridge.reconciliation.csv_statement import parse_statement
from paybridge.reconciliation.domain.run import Run
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import restart_reconciliation
from paybridge.reconciliation.store import statements
from paybridge.reconciliation.store.statements import NewStatement

# Lines written by one statement.
PART_LINES = 5_000


def import_statement(services: ReconciliationServices, day: date, gateway: str, content: bytes, actor: str) -> Run:
    """Store the lines of a CSV as the gateway's statement for the day, in place of an earlier one; compare the day.

    All lines are stored, or none. Those of another day count as the grace window of this one. Raises StatementInvalid,
    InvalidInput (`time_in_future`) and DatabaseUnavailable.
    """
    now = services.clock.now()
    if day > now.date():
        raise InvalidInput("time_in_future", "The date is in the future. Send a day that has begun, in UTC.", "date")
    lines = parse_statement(content)
    has_holds = any(line.kind in {Kind.AUTHORIZATION, Kind.VOID} for line in lines)
    id_ = services.ids.new()
    with services.database.transaction() as transaction:
        statements.replace(transaction, NewStatement(id_, gateway, day, "import", has_holds, actor, now))
        for first in range(0, len(lines), PART_LINES):
            statements.add_lines(transaction, id_, lines[first : first + PART_LINES], first + 1, day)
    return restart_reconciliation(services, day, actor)
