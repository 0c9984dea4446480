"""Facts, read again from the event log."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

import orjson

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import Event, parse_envelope
from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array

_FIND_EVENTS = Statement("""
    SELECT body FROM unnest(:ids::uuid[]) AS wanted (id) JOIN outbox ON outbox.id = wanted.id
    WHERE sequence IS NOT NULL
""")


def find_events(transaction: Transaction, ids: Iterable[UUID]) -> list[Event]:
    """Return the facts with these ids. A fact that can no longer be parsed counts as missing."""
    found = []
    for (body,) in transaction.run(_FIND_EVENTS, ids=uuid_array(ids)):
        with suppress(MalformedMessage, orjson.JSONDecodeError):
            found.append(parse_envelope(orjson.loads(body)))
    return found
