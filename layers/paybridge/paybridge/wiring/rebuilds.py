"""The part of the composition root for rebuilds of the books."""

from __future__ import annotations

from paybridge import wiring
from paybridge.archive.away import ArchivedMonths
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.ledger.ports import RebuildServices


def services_over(database: Database, clock: Clock, ids: Ids) -> RebuildServices:
    """Return what the use cases need, over these adapters."""
    return RebuildServices(database, clock, ids, ArchivedMonths())


def services() -> RebuildServices:
    """Return what the use cases need. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    return services_over(wiring.database(), wiring.clock(), wiring.ids())
