"""What rebuilds of the books work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.ledger.domain.rules import RULES, RULES_VERSION, PostingRule

# The live book may be so far behind the log.
BEHIND_SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class RebuildServices:
    """The adapters, and the rules by which events are posted."""

    database: Database
    clock: Clock
    ids: Ids
    rules: Sequence[PostingRule] = RULES
    rules_version: int = RULES_VERSION
