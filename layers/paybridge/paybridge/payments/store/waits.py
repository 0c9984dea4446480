"""Slots for waiting requests: a bound over all environments, because a waiting request occupies one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from paybridge.database.database import Database, Statement

# A slot that was never released, because its environment died, is free again after `ends_at`.
_TAKE = Statement("""
    UPDATE api_waits SET ends_at = now() + make_interval(secs => :seconds::double precision)
    WHERE slot = (SELECT slot FROM api_waits WHERE slot <= :waits_max::integer AND ends_at <= now()
                  ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING slot, ends_at
""")

# Only while it is ours: after `ends_at` another request may have it.
_RELEASE = Statement("""
    UPDATE api_waits SET ends_at = '-infinity' WHERE slot = :slot::integer AND ends_at = :ends_at::timestamptz
""")


@dataclass(frozen=True, slots=True)
class WaitSlot:
    """A slot taken by a waiting request until `ends_at`."""

    slot: int
    ends_at: datetime


def take(database: Database, waits_max: int, seconds: float) -> WaitSlot | None:
    """Take a slot for `seconds`; None if all `waits_max` are taken. Never waits for a lock."""
    rows = database.run(_TAKE, waits_max=waits_max, seconds=seconds)
    return WaitSlot(*rows[0]) if rows else None


def release(database: Database, slot: WaitSlot) -> None:
    """Release the slot before its time."""
    database.run(_RELEASE, slot=slot.slot, ends_at=slot.ends_at)
