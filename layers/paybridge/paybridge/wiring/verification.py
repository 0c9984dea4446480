"""The part of the composition root for the checks of every invariant."""

from __future__ import annotations

from functools import partial

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.verification.check_outbox import check_outbox
from paybridge.verification.verify import Check, checks_of
from paybridge.wiring import audit, rebuilds


def checks_over(database: Database, clock: Clock, ids: Ids) -> dict[str, Check]:
    """Return every check that each environment can make, over these adapters, by name and in their order.

    Raises SettingsInvalid and SecretUnavailable.
    """
    others: dict[str, Check] = {"outbox": partial(check_outbox, audit.services(database, clock))}
    return checks_of(rebuilds.services_over(database, clock, ids), others)
