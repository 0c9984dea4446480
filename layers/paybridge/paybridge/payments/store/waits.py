"""Who is waiting: a bound, over all environments, on the requests that hold one while nothing happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from paybridge.database.database import Database, Statement

# A wait that was never given back, because its environment died, counts as over when its time is.
_TAKE = Statement("""
    UPDATE api_waits SET ends_at = now() + make_interval(secs => :seconds::double precision)
    WHERE slot = (SELECT slot FROM api_waits WHERE slot <= :waits_max::integer AND ends_at <= now()
                  ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING slot, ends_at
""")

# Only while it is ours: after its time somebody else may have it.
_GIVE_BACK = Statement("""
    UPDATE api_waits SET ends_at = '-infinity' WHERE slot = :slot::integer AND ends_at = :ends_at::timestamptz
""")


@dataclass(frozen=True, slots=True)
class Wait:
    """One of the waits that may be under way at once, taken until `ends_at`."""

    slot: int
    ends_at: datetime


def take(database: Database, waits_max: int, seconds: float) -> Wait | None:
    """A wait for so many seconds; None when `waits_max` are under way. Never waits for another one's lock."""
    rows = database.run(_TAKE, waits_max=waits_max, seconds=seconds)
    return Wait(*rows[0]) if rows else None


def give_back(database: Database, wait: Wait) -> None:
    """Ends the wait before its time."""
    database.run(_GIVE_BACK, slot=wait.slot, ends_at=wait.ends_at)
