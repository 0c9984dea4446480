"""The states of a delivery and of an attempt, as the database's constraints name them."""

from __future__ import annotations

from enum import StrEnum


class DeliveryStatus(StrEnum):
    """A delivery is open while it is pending. `gone`: the receiver answered 410."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"
    CANCELED = "canceled"


class DeliveryAttemptStatus(StrEnum):
    """How an attempt ended. Until then its row says `started`."""

    DELIVERED = "delivered"
    FAILED = "failed"
