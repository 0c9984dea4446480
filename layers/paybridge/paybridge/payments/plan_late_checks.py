"""Plan to ask the gateway again about operations that end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from paybridge.database.database import Transaction
from paybridge.payments.domain.late_changes import CheckAges, first_check_seconds
from paybridge.payments.domain.operation import Operation, OperationStatus
from paybridge.payments.store import late_checks
from paybridge.payments.store.late_checks import PlannedCheck


class EndedOperation(NamedTuple):
    """An operation that ends now as `status`. `gave_up`: the gateway never said that it will not happen."""

    operation: Operation
    status: OperationStatus
    gave_up: bool = False


def plan_late_checks(transaction: Transaction, ended: Sequence[EndedOperation], ages: CheckAges, now: datetime) -> None:
    """Plan when to ask for the first time about what may still change. The job sends a message once that is due."""
    planned = [
        PlannedCheck(each.id, each.payment_id, each.merchant_id, each.correlation_id, seconds)
        for each, status, gave_up in ended
        if (seconds := first_check_seconds(each.kind, status, gave_up, ages)) is not None
    ]
    late_checks.plan(transaction, planned, now)
