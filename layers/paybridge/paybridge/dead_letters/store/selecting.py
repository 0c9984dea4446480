"""The conditions of a selection in SQL."""

from __future__ import annotations

from typing import Any

from paybridge.database.parameters import uuid_array
from paybridge.dead_letters.domain import Selection
from paybridge.outbox.routes import DEAD_LETTER_KEY

_CONDITIONS = {
    "ids": "id = ANY(:ids::uuid[])",
    "fingerprint": "fingerprint = :fingerprint::text",
    "queue": "queue = :queue::text",
    "dead_letter_queue": "dead_letter_queue = :dead_letter_queue::text",
    "state": "state = :state::text",
}


def parameters_of(selection: Selection) -> dict[str, Any]:
    """Return the values that the selection asks for, by the names of the parameters in `condition`.

    A dead-letter queue as the queue means everything that it held.
    """
    queue_name = "dead_letter_queue" if selection.queue == DEAD_LETTER_KEY else "queue"
    values: dict[str, Any] = {
        "ids": uuid_array(selection.ids) if selection.ids is not None else None,
        "fingerprint": selection.fingerprint,
        queue_name: selection.queue,
        "state": selection.state,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def condition(names: frozenset[str]) -> str:
    """Return the condition with these parameters, for use after WHERE."""
    return " AND ".join(_CONDITIONS[name] for name in sorted(names)) or "true"
