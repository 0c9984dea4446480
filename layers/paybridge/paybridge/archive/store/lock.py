"""One run of the archive at a time."""

from __future__ import annotations

from paybridge.database.database import Session, Statement

# "arch" in ASCII. Any number will do that no other lock uses.
LOCK = 0x61726368
_TAKE = Statement(f"SELECT pg_try_advisory_lock({LOCK})")


def take(session: Session) -> bool:
    """Take the lock for the life of the connection. Return False if another run has it."""
    return bool(session.run(_TAKE)[0][0])
