"""Recoveries: the search for what an endpoint has missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.times import format_time


class RecoveryState(StrEnum):
    """Whether a recovery still searches. It is canceled if its endpoint is deleted or disabled meanwhile."""

    RUNNING = "running"
    FINISHED = "finished"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The search for events since a time, in the order of their transactions.

    `until_xid` is the transaction that began the recovery: events of earlier ones are looked at. `position` is the
    transaction and the id of the last event that was looked at. `checked` counts the events that were looked at, and
    `sent` the deliveries that were begun for them.
    """

    id: UUID
    endpoint_id: UUID
    merchant_id: UUID
    since: datetime
    until_xid: int
    position: tuple[int, UUID]
    state: RecoveryState
    checked: int
    sent: int
    created_at: datetime
    finished_at: datetime | None


def recovery_view(recovery: Recovery) -> dict[str, Any]:
    """Return the recovery as answers show it, JSON-ready."""
    return {
        "recovery_id": str(recovery.id),
        "endpoint_id": str(recovery.endpoint_id),
        "state": str(recovery.state),
        "since": format_time(recovery.since),
        "checked": recovery.checked,
        "sent": recovery.sent,
        "created_at": format_time(recovery.created_at),
        "finished_at": None if recovery.finished_at is None else format_time(recovery.finished_at),
    }
