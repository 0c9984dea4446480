"""Wake a relay that waits for outbox rows, at no cost while none waits.

The transaction of the rows sends no NOTIFY: that would take a lock of the whole database at COMMIT, and payments would
be accepted one after the other. Instead both sides use one advisory lock.

* A relay that has found nothing takes the lock exclusively (`listening`), LISTENs, looks ONCE MORE, and only then
  sleeps (`await_rows`).
* A writer tries the lock in shared mode (`IS_RELAY_BUSY`) in the transaction of its rows, and so holds it until after
  they are visible. If it does not get the lock, a relay waits: the writer sends NOTIFY AFTER its commit, in a
  transaction of that statement alone.

No wake-up is lost, whatever the order:

* If the writer got the shared lock, no relay held the lock then, and none gets it before the writer's rows are visible
  (PostgreSQL releases locks after that). A relay that gets it later looks once more later still, and finds the rows.
* If the writer did not get it, a relay holds it or held it a moment ago. The NOTIFY comes after the rows are visible.
  If it comes before the relay's LISTEN, the look that follows LISTEN finds the rows. If it comes after, it wakes the
  relay.

The session of a dead relay ends, and its lock with it. A writer that dies between COMMIT and NOTIFY wakes no relay: its
rows wait for the relay's next look, at most one idle poll later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paybridge.database.database import Database, Session, Statement, Transaction

# Any constant will do that no other lock of this database uses.
_LOCK_KEY = 7_216_045_318
_CHANNEL = "outbox"

# SQL to evaluate in the transaction of the rows; false if a relay waits and needs a wake-up after the commit.
IS_RELAY_BUSY = f"pg_try_advisory_xact_lock_shared({_LOCK_KEY})"
_WAKE = Statement(f"SELECT pg_notify('{_CHANNEL}', '')")

_LOCK = Statement(f"SELECT pg_try_advisory_lock({_LOCK_KEY})")
_UNLOCK = Statement(f"SELECT pg_advisory_unlock({_LOCK_KEY})")

_SECONDS_UNTIL_DUE = Statement("""
    SELECT extract(epoch FROM min(available_at) - clock_timestamp())::double precision
    FROM outbox
    WHERE published_at IS NULL AND exchange IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Listening:
    """The session of a relay within `listening`.

    With `has_lock` every writer wakes this relay. Without it another relay waits, or a writer is about to commit: this
    relay then hears only the wake-ups meant for others.
    """

    session: Session
    has_lock: bool


def wake_relay(database: Database) -> None:
    """Wake every relay that listens. A failure is harmless: a relay looks again within its idle poll."""
    database.attempt(_WAKE)


def wake_relay_after_commit(transaction: Transaction) -> None:
    """Wake relays after the commit; repeated calls send one NOTIFY."""
    transaction.after_commit.add(_WAKE)


async def await_rows(
    database: Database, pause_seconds: float, idle_poll_seconds_max: float, remaining_seconds: Callable[[], float]
) -> None:
    """Sleep until a row is due or a writer has added one, at most `idle_poll_seconds_max` or `remaining_seconds`.

    Sleep no longer than `pause_seconds` while another relay holds the rows that are due, or is the one that writers
    wake. Raises DatabaseUnavailable.
    """
    if _is_now(seconds_until_due(database)):
        await asyncio.sleep(max(0.0, min(pause_seconds, remaining_seconds())))
        return
    with listening(database) as waiting:
        seconds_max = idle_poll_seconds_max if waiting.has_lock else pause_seconds
        while (seconds_left := remaining_seconds()) > 0:
            until_due = seconds_until_due(waiting.session)
            if _is_now(until_due):
                return
            seconds = min(seconds_max, seconds_left, seconds_max if until_due is None else until_due)
            if await waiting.session.heard(seconds) or not waiting.has_lock:
                return
    # A relay that waits without the lock now takes our place.
    wake_relay(database)


@contextmanager
def listening(database: Database) -> Iterator[Listening]:
    """Let writers wake this relay within the block, which looks for rows once more before it sleeps.

    Raises DatabaseUnavailable. A block that raises, or is cancelled, closes the connection, and with it the lock.
    """
    with database.session() as session:
        has_lock = bool(session.run(_LOCK)[0][0])
        session.listen(_CHANNEL)
        yield Listening(session, has_lock)
        if has_lock:
            session.run(_UNLOCK)
        session.unlisten()


def seconds_until_due(session: Database | Session) -> float | None:
    """Return the seconds until a row is due, not positive if one is now; None if no row waits."""
    seconds: float | None = session.run(_SECONDS_UNTIL_DUE)[0][0]
    return seconds


def _is_now(until_due_seconds: float | None) -> bool:
    return until_due_seconds is not None and until_due_seconds <= 0
