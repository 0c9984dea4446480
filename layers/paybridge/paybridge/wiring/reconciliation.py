"""The part of the composition root for reconciliation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from paybridge import wiring
from paybridge.archive.away import ArchivedMonths
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import STATEMENT_SECONDS_MAX, Database, Transaction
from paybridge.ledger.read_clearing import read_clearing
from paybridge.reconciliation.log_end import log_end
from paybridge.reconciliation.ports import PostedOperation, ReconciliationServices
from paybridge.wiring import payments


class LedgerPostings:
    """The ledger, as reconciliation asks it."""

    def posted(
        self, transaction: Transaction, operations: Sequence[PostedOperation]
    ) -> Mapping[UUID, Mapping[str, int]]:
        """Return what was posted for the operations; see `paybridge.reconciliation.ports.Postings`."""
        wanted = {each.id for each in operations}
        found: dict[UUID, dict[str, int]] = {}
        for each in read_clearing(transaction, (operation.payment_id for operation in operations)):
            if each.operation_id in wanted:
                found.setdefault(each.operation_id, {})[each.currency] = each.amount_minor
        return found


def services_of_api(database: Database, clock: Clock, ids: Ids, gateways: Iterable[str]) -> ReconciliationServices:
    """Return what the API needs: it compares what was read, and leaves the gateways to others."""
    settings = wiring.environment()
    return ReconciliationServices(
        database=database,
        clock=clock,
        ids=ids,
        sources=dict.fromkeys(gateways),
        postings=LedgerPostings(),
        old_months=ArchivedMonths(),
        grace=timedelta(seconds=settings.RECONCILIATION_GRACE_SECONDS),
        late_after=timedelta(seconds=settings.RECONCILIATION_LATE_SECONDS),
        on_end=log_end,
        asks_gateways=False,
    )


def services(statement_seconds_max: float = STATEMENT_SECONDS_MAX) -> ReconciliationServices:
    """Return what the use cases need. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return ReconciliationServices(
        database=wiring.database(statement_seconds_max),
        clock=wiring.clock(),
        ids=wiring.ids(),
        sources=payments.statement_sources(),
        postings=LedgerPostings(),
        old_months=ArchivedMonths(),
        grace=timedelta(seconds=settings.RECONCILIATION_GRACE_SECONDS),
        late_after=timedelta(seconds=settings.RECONCILIATION_LATE_SECONDS),
        on_end=log_end,
    )
