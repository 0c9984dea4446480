"""Resumptions: deliveries that waited for an endpoint go on once it is enabled again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from paybridge.core.times import format_time

# Above this number nothing more is counted.
WAITING_SHOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Resumption:
    """The deliveries that were scheduled since the endpoint was enabled, and how many still wait."""

    started_at: datetime
    resumed: int
    waiting: int


def resumption_view(resumption: Resumption | None) -> dict[str, Any] | None:
    """Return the resumption as answers show it, JSON-ready."""
    if resumption is None:
        return None
    return {
        "since": format_time(resumption.started_at),
        "resumed": resumption.resumed,
        "waiting": resumption.waiting,
    }
