"""Which merchants exist."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.database.parameters import uuid_array

_EXISTING = Statement("""
    SELECT m.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN merchants m ON m.id = wanted.id
""")


def existing(database: Database, ids: Iterable[UUID]) -> set[UUID]:
    """Return those of the merchants that exist."""
    return {row[0] for row in database.run(_EXISTING, ids=uuid_array(ids))}
