"""The last finding of each check."""

from __future__ import annotations

from datetime import datetime

from paybridge.core.findings import Finding
from paybridge.database.database import Database, Statement

# Of two workers one begins. The finding before stays until this check ends.
_BEGIN = Statement("""
    INSERT INTO invariant_findings AS known (name, holds, checked, detail, checked_at)
    VALUES (:name::text, NULL, 0, 'its first check has not ended', :now::timestamptz)
    ON CONFLICT (name) DO UPDATE SET checked_at = excluded.checked_at WHERE known.checked_at < :due::timestamptz
    RETURNING name
""")
# What is broken stays so until a check says otherwise: one that could not be made does not end the alarm.
_SAVE = Statement("""
    UPDATE invariant_findings SET holds = :holds::boolean, checked = :checked::bigint, detail = :detail::text
    WHERE name = :name::text AND (:holds::boolean IS NOT NULL OR holds IS NOT FALSE)
""")
_READ = Statement("SELECT name, holds FROM invariant_findings ORDER BY name")


def begin(database: Database, name: str, now: datetime, due: datetime) -> bool:
    """Note that a check begins; return False if one has begun since `due`."""
    return bool(database.run(_BEGIN, name=name, now=now, due=due))


def save(database: Database, name: str, finding: Finding) -> None:
    """Keep what a check has found, unless it found nothing and the one before found a fault."""
    database.run(_SAVE, name=name, holds=finding.holds, checked=finding.checked, detail=finding.detail)


def read(database: Database) -> dict[str, bool | None]:
    """Return by check whether its invariant held when it was last checked, None if it could not be checked."""
    return {name: holds for name, holds in database.run(_READ)}  # noqa: C416 -- rows are lists to the type checker.
