"""What the use cases of dead letters work with."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True)
class DeadLetterServices:
    """Database, clock and source of ids."""

    database: Database
    clock: Clock
    ids: Ids
