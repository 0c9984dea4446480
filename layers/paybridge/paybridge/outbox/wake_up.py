"""How whoever writes outbox rows wakes a relay that waits for them, and pays nothing while none waits.

There is no NOTIFY in the transaction of the rows: it would take a lock of the whole database at COMMIT, and payments
would be accepted one after the other. Instead both sides use one advisory lock.

* A relay that has found nothing takes it for itself (`listening`), LISTENs, looks ONCE MORE, and only then sleeps.
* A writer asks for it in shared mode (`IS_RELAY_BUSY`), in the transaction of its rows, and so holds it until after
  they are visible. If it does not get it, a relay waits: the writer sends NOTIFY, on its own, AFTER its commit.

No wake-up is lost, whatever the order:

* If the writer got the shared lock, no relay held the lock then, and none gets it before the writer's rows are visible
  (PostgreSQL releases locks after that). A relay that gets it later looks once more later still, and finds the rows.
* If the writer did not get it, a relay holds it or held it a moment ago. The NOTIFY comes after the rows are visible.
  If it comes before the relay's LISTEN, the look that follows LISTEN finds the rows; if after, the relay is woken.

A dead relay's session ends, and its lock with it. A writer that dies between COMMIT and NOTIFY wakes nobody: its rows
wait for the relay's next look, which is never further away than the relay's idle poll.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paybridge.database.database import Database, Session, Statement, Transaction

# Any constant does, as long as nobody else uses it in this database.
_LOCK_KEY = 7_216_045_318
_CHANNEL = "outbox"

# SQL, to be evaluated in the transaction of the rows; false when the relay is to be woken after its commit.
IS_RELAY_BUSY = f"pg_try_advisory_xact_lock_shared({_LOCK_KEY})"
_WAKE = Statement(f"SELECT pg_notify('{_CHANNEL}', '')")

_LOCK = Statement(f"SELECT pg_try_advisory_lock({_LOCK_KEY})")
_UNLOCK = Statement(f"SELECT pg_advisory_unlock({_LOCK_KEY})")


@dataclass(frozen=True, slots=True)
class Listening:
    """A relay's session within `listening`.

    With `is_told` every writer wakes us. Without it another relay waits, or a writer is about to commit: then we hear
    only what others are told.
    """

    session: Session
    is_told: bool


@contextmanager
def listening(database: Database) -> Iterator[Listening]:
    """Within the block writers wake this relay; look for rows again in it before sleeping.

    Raises DatabaseUnavailable. A block that raises, or is cancelled, ends the connection, and with it the lock.
    """
    with database.session() as session:
        is_told = bool(session.run(_LOCK)[0][0])
        session.listen(_CHANNEL)
        yield Listening(session, is_told)
        if is_told:
            session.run(_UNLOCK)
        session.unlisten()


def wake_relay(database: Database) -> None:
    """Wakes every relay that listens. That it fails harms nobody: a relay looks by itself in a while."""
    database.attempt(_WAKE)


def wake_relay_after_commit(transaction: Transaction) -> None:
    """The same once the transaction is committed, however often it is asked for."""
    transaction.after_commit.add(_WAKE)
