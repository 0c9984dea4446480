"""Read breaks, and record what a person makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from paybridge.reconciliation.domain.breaks import (
    BreakAction,
    BreakDecision,
    BreakState,
    BreakType,
    StoredBreak,
    decide,
)
from paybridge.reconciliation.domain.run import NO_ID
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.store import breaks

# A break of about 400 bytes, so less than a megabyte.
PAGE_BREAKS = 1000


def list_breaks(
    services: ReconciliationServices,
    reconciliation_id: UUID,
    after: UUID,
    limit: int,
    *,
    state: BreakState | None = None,
    type_: BreakType | None = None,
) -> list[StoredBreak]:
    """Return up to `limit` breaks of a reconciliation above an id, oldest first. Raises DatabaseUnavailable."""
    return breaks.list_breaks(services.database, reconciliation_id, after, limit, state=state, type_=type_)


def read_all_breaks(
    services: ReconciliationServices,
    reconciliation_id: UUID,
    *,
    state: BreakState | None = None,
    type_: BreakType | None = None,
) -> Iterator[StoredBreak]:
    """Yield the breaks of a reconciliation to the last, a page in memory at a time. Raises DatabaseUnavailable."""
    page = list_breaks(services, reconciliation_id, NO_ID, PAGE_BREAKS, state=state, type_=type_)
    while page:
        yield from page
        if len(page) < PAGE_BREAKS:
            return
        page = list_breaks(services, reconciliation_id, page[-1].id, PAGE_BREAKS, state=state, type_=type_)


def read_break(services: ReconciliationServices, id_: UUID) -> tuple[StoredBreak, list[BreakAction]] | None:
    """Return a break with what was done about it, None if there is none. Raises DatabaseUnavailable."""
    stored = breaks.find(services.database, id_)
    return None if stored is None else (stored, breaks.actions(services.database, id_))


def decide_break(
    services: ReconciliationServices, id_: UUID, decision: BreakDecision, note: str, actor: str
) -> StoredBreak | None:
    """Record what a person makes of a break, and return it; None if there is none. The second time changes nothing.

    Raises BreakClosed and DatabaseUnavailable.
    """
    now = services.clock.now()
    with services.database.transaction() as transaction:
        stored = breaks.lock(transaction, id_)
        if stored is None:
            return None
        changed = decide(stored, decision, note, actor, now)
        if changed is not None:
            breaks.change(transaction, changed, decision.action, now)
    return changed or stored
