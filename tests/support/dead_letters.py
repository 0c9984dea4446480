"""Dead letters for tests, and their rows."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st

from paybridge.core.raw_messages import RawMessage
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.record import Recorded, record_dead_letters

# Whatever AMQP clients put into headers.
ANY_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)

_ROWS = Statement("SELECT row_to_json(dead_letters)::text FROM dead_letters ORDER BY id")


def raw(body: bytes = b"{}", **changes: Any) -> RawMessage:
    """Return a message of the queue payments.dead."""
    return RawMessage(**{"queue": "payments.dead", "body": body, **changes})


def rows(database: Database) -> list[dict[str, Any]]:
    """Return every row as JSON has it, oldest first; bytes are hexadecimal after `\\x`."""
    return [json.loads(row[0]) for row in database.run(_ROWS)]


def record_dead(
    services: DeadLetterServices, *, body: bytes | None = None, queue: str = "webhooks", **changes: Any
) -> Recorded:
    """Record a message that died in `queue` for `reason`; a new one unless `body` says otherwise."""
    reason, headers = changes.pop("reason", "because"), changes.pop("headers", {})
    named = {"x-paybridge-queue": queue, "x-paybridge-reason": reason}
    message = raw(uuid4().bytes if body is None else body, headers={**named, **headers}, **changes)
    (recorded,) = record_dead_letters(services, [message])
    return recorded
