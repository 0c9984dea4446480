"""Check every invariant once an hour, one check at a time, and keep what was found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from paybridge.core.clock import Clock
from paybridge.database.database import Database
from paybridge.verification.store import findings
from paybridge.verification.verify import Check, NamedFinding, verify

EVERY = timedelta(hours=1)


def verify_next(database: Database, clock: Clock, checks: Mapping[str, Check]) -> NamedFinding | None:
    """Make the next check that is due, by what is newest, and keep its finding; None if none is due.

    A check that is killed, or for which the database is away, keeps its last finding and is due again an hour later.
    Raises DatabaseUnavailable.
    """
    now = clock.now()
    for name, check in checks.items():
        if findings.begin(database, name, now, now - EVERY):
            (named,) = verify({name: check})
            findings.save(database, name, named.finding)
            return named
    return None


def count_broken(database: Database) -> int:
    """Return how many invariants failed their last check. Raises DatabaseUnavailable."""
    return sum(holds is False for holds in findings.read(database).values())
