"""What the records of one reference amount to at a given time: pure functions of the log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from local.gateway.log import Record


def as_of(record: Record, now: float) -> Record:
    """Return the record with the status that it has: it is pending until the gateway decides on it."""
    if record.get("decided_at", 0) > now:
        return {**record, "status": "pending", "failure_code": None}
    return record


def standing(records: Iterable[Record], now: float) -> list[Record]:
    """Return every record as it stands, authorizations with their `state`."""
    found = [as_of(record, now) for record in records]
    return [
        {**each, "state": state_of(each, found, now)} if each["kind"] == "authorization" else each for each in found
    ]


def state_of(authorization: Record, records: Iterable[Record], now: float) -> str:
    """Return `pending`, `declined`, `open`, `captured`, `voided` or `expired`.

    The first operation that ends an authorization is the only one: no other is recorded as succeeded after it.
    """
    if authorization["status"] != "succeeded":
        return str(authorization["status"])
    for record in records:
        if record.get("target_id") == authorization["id"] and record["status"] == "succeeded":
            if record["kind"] == "capture":
                return "captured"
            if record["kind"] == "void":
                return "voided"
    return "expired" if epoch(authorization["expires_at"]) <= now else "open"


def target_of(order: Record, records: list[Record]) -> Record | None:
    """Return the charge or authorization that the order is about: the named one, else the newest that fits."""
    kinds = ("charge", "authorization") if order["kind"] == "refund" else ("authorization",)
    for record in reversed(records):
        is_named = order["target_id"] in (None, record["id"])
        if is_named and record["kind"] in kinds and record["status"] != "declined":
            return record
    return None


def refundable_minor(target: Record, records: list[Record]) -> int:
    """Return what was charged or captured, less what was refunded and not taken back."""
    charged_minor = target["amount_minor"] if target["kind"] == "charge" else _sum_of("capture", target, records)
    refunded_minor = _sum_of("refund", target, records)
    reversed_minor = _sum_of("refund_reversal", target, records)
    return charged_minor - refunded_minor + reversed_minor


def was_charged(target: Record, records: list[Record]) -> bool:
    return target["kind"] == "charge" or _sum_of("capture", target, records) > 0


def is_reversed(refund: Record, records: Iterable[Record]) -> bool:
    return any(record["kind"] == "refund_reversal" and record["refund_id"] == refund["id"] for record in records)


def _sum_of(kind: str, target: Record, records: list[Record]) -> int:
    return sum(
        record["amount_minor"]
        for record in records
        if record["kind"] == kind and record["status"] == "succeeded" and record.get("target_id") == target["id"]
    )


def written(now: float) -> str:
    """Return the RFC 3339 time, in UTC with milliseconds, of a time in seconds."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(text: str) -> float:
    """Return the seconds of a time that `written` wrote."""
    return datetime.fromisoformat(text).timestamp()
