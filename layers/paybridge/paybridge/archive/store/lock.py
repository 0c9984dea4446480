"""One run of the archive at a time."""

from __future__ import annotations

from paybridge.database.database import Session, Statement

# "arch" in ASCII. Any number will do that no other lock uses.
LOCK = 0x61726368
_TAKE = Statement(f"SELECT pg_try_advisory_lock({LOCK})")
_RELEASE = Statement(f"SELECT pg_advisory_unlock({LOCK})")


def take(session: Session) -> bool:
    """Take the lock until it is released or the connection ends. Return False if another run has it."""
    return bool(session.run(_TAKE)[0][0])


def release(session: Session) -> None:
    """Release the lock. Raises DatabaseUnavailable."""
    session.run(_RELEASE)
