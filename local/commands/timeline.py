"""The way of a payment and of a refund, from the payment's API timeline and from the records of the webhook sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """One step on the way; `at` is None until it happens."""

    name: str
    at: datetime | None


def stages_of(events: Iterable[Entry], received: Iterable[Entry]) -> list[Stage]:
    """Return the six steps from acceptance to verified webhook, in order.

    `events` are the entries of `GET /payments/{id}/events`, `received` those of the sink's `/received`.
    """
    entries = list(events)
    return [
        Stage("accepted", _first(entries, lambda entry: entry["type"] == "payment.created")),
        Stage("relayed to the broker", _first(entries, lambda entry: _is_relayed(entry, "payment.created"))),
        Stage("consumed", _first(entries, lambda entry: entry["type"] == "gateway.attempt_started")),
        Stage("charged by the gateway", _first(entries, lambda entry: entry["type"] == "gateway.attempt_succeeded")),
        Stage("event relayed", _first(entries, lambda entry: _is_relayed(entry, "payment.succeeded"))),
        Stage("webhook delivered, signature verified", _first_verified(received, "payment.succeeded")),
    ]


def refund_stages_of(events: Iterable[Entry], received: Iterable[Entry], refund_id: str) -> list[Stage]:
    """Return the five steps of a refund from acceptance to verified webhook, in order.

    `events` and `received` are those of the refund's payment, as for `stages_of`.
    """
    entries = [entry for entry in events if refund_id in entry["details"].values()]
    hooks = [entry for entry in received if entry["body"]["data"].get("refund_id") == refund_id]
    return [
        Stage("accepted", _first(entries, lambda entry: entry["type"] == "refund.created")),
        Stage("consumed", _first(entries, lambda entry: entry["type"] == "gateway.attempt_started")),
        Stage("given back by the gateway", _first(entries, lambda entry: entry["type"] == "gateway.attempt_succeeded")),
        Stage("event relayed", _first(entries, lambda entry: _is_relayed(entry, "refund.succeeded"))),
        Stage("webhook delivered, signature verified", _first_verified(hooks, "refund.succeeded")),
    ]


def is_complete(stages: Iterable[Stage]) -> bool:
    return all(stage.at is not None for stage in stages)


def render(stages: list[Stage]) -> str:
    """Return one line a step, with milliseconds since the first."""
    begin = stages[0].at
    return "\n".join(_line(stage, begin) for stage in stages)


def _line(stage: Stage, begin: datetime | None) -> str:
    if stage.at is None or begin is None:
        return f"  ✗ {'—':>8}     {stage.name}"
    return f"  ✓ {(stage.at - begin).total_seconds() * 1000:>8,.0f} ms  {stage.name}"


def _is_relayed(entry: Entry, event_type: str) -> bool:
    return bool(entry["type"] == "event.relayed" and entry["details"].get("event_type") == event_type)


def _first(entries: list[Entry], is_wanted: Callable[[Entry], bool]) -> datetime | None:
    return next((datetime.fromisoformat(entry["at"]) for entry in entries if is_wanted(entry)), None)


def _first_verified(received: Iterable[Entry], event_type: str) -> datetime | None:
    return next(
        (
            datetime.fromisoformat(entry["received_at"])
            for entry in received
            if entry["verified"] and entry["body"]["type"] == event_type
        ),
        None,
    )
