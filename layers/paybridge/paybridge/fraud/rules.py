"""Read and replace a merchant's fraud rules."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.database.database import Database
from paybridge.fraud.store import rule_sets
from paybridge.fraud.store.rule_sets import VERSION_MAX, StoredRules

__all__ = ["NO_RULES", "VERSION_MAX", "StoredRules", "read_fraud_rules", "replace_fraud_rules"]

# Each try loses only if another request added a version in the meantime.
TRIES_MAX = 10
# What a merchant has that never had any.
NO_RULES = StoredRules(0, [], None)


def read_fraud_rules(database: Database, merchant_id: UUID, version: int | None = None) -> StoredRules | None:
    """Return the merchant's present rules, or those of a version, None if there are none.

    Raises DatabaseUnavailable.
    """
    found = rule_sets.find(database, merchant_id, VERSION_MAX if version is None else version)
    return None if found is not None and version not in (None, found.version) else found


def replace_fraud_rules(
    database: Database, clock: Clock, merchant_id: UUID, rules: list[dict[str, Any]], actor: str
) -> StoredRules:
    """Store the rules, already validated, as the merchant's next version, which the next batch of payments meets.

    Earlier versions stay, because decisions name them. Raises DatabaseUnavailable, and LockTimeout if other requests
    replaced the rules every time.
    """
    for _ in range(TRIES_MAX):
        now = clock.now()
        version = rule_sets.add(database, merchant_id, rules, actor, now)
        if version is not None:
            return StoredRules(version, rules, now)
    raise LockTimeout("other requests replaced the rules at the same time")
