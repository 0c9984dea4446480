"""Many rows or ids as one parameter of a statement."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import orjson


def json_rows(rows: Iterable[object]) -> str:
    """Return the rows, dictionaries or dataclasses, as JSON for `json_to_recordset`."""
    return orjson.dumps(list(rows)).decode()


def uuid_array(ids: Iterable[UUID | str]) -> str:
    """Return the ids as PostgreSQL's text of an array, for `::uuid[]`."""
    return "{" + ",".join(map(str, ids)) + "}"
