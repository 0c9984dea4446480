"""Breaks: what a gateway's statement, our payments and the ledger do not agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.errors import PaybridgeError
from paybridge.core.money import format_places, stored_places
from paybridge.core.times import format_time

# Enough for the whole story of a break.
NOTE_CHARACTERS_MAX = 500


class BreakType(StrEnum):
    """What is wrong."""

    # We say that it was done, and the gateway has no record of it.
    MISSING_AT_GATEWAY = "missing_at_gateway"
    # The gateway did something that we have no record of.
    MISSING_HERE = "missing_here"
    # The payment is recorded, and nothing was posted for it.
    MISSING_IN_LEDGER = "missing_in_ledger"
    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    # One side says that it was done and the other one that it was not.
    STATUS_MISMATCH = "status_mismatch"
    # The gateway did the same operation more than once.
    DUPLICATE_AT_GATEWAY = "duplicate_at_gateway"
    # Two operations of ours claim the same gateway action.
    DUPLICATE_HERE = "duplicate_here"
    # An outcome that is due for long and that neither side knows.
    LATE = "late"
    # The gateway knew an outcome that we did not, and was asked for it.
    UNKNOWN_RESOLVED = "unknown_resolved"


class BreakState(StrEnum):
    """Where a break is on its way."""

    OPEN = "open"
    # A person knows why, and it is still so: a difference that the next days will end.
    EXPLAINED = "explained"
    RESOLVED = "resolved"
    # It never was a break.
    VOID = "void"


class Resolution(StrEnum):
    """How a break was resolved."""

    # The sides now agree.
    AUTO = "auto"
    # A person has corrected one of the sides.
    MANUAL = "manual"
    # A person accepts the difference.
    FORCE = "force"


class Leg(StrEnum):
    """Which two sides are compared."""

    GATEWAY = "gateway"
    LEDGER = "ledger"


class Direction(StrEnum):
    """Whether the gateway, or in the leg of the ledger the ledger, has more or less than our payments say."""

    OVER = "over"
    UNDER = "under"


@dataclass(frozen=True, slots=True)
class BreakSide:
    """What one side says: an amount in minor units of its currency, a status, and its own name for it."""

    amount_minor: int | None
    currency: str | None
    status: str
    id: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A break as a comparison finds it.

    `effects` says per currency how much of the difference between the two sides of its leg it makes up, in minor units.
    A break between the payments and the ledger has the ledger in `ledger`, the others the gateway in `gateway`.
    """

    type: BreakType
    leg: Leg = Leg.GATEWAY
    operation_id: UUID | None = None
    payment_id: UUID | None = None
    merchant_id: UUID | None = None
    kind: str | None = None
    gateway: BreakSide | None = None
    payments: BreakSide | None = None
    ledger: BreakSide | None = None
    direction: Direction | None = None
    effects: Mapping[str, int] = field(default_factory=dict)
    is_settled: bool = False
    note: str | None = None

    @property
    def identity(self) -> str:
        """Return what is the same whenever this break is found, at one gateway.

        The line of the statement is part of it where an operation may have several.
        """
        line = self.gateway.id if self.gateway is not None and self.type in _BY_LINE else None
        parts = (self.leg, self.type, self.operation_id, self.kind, line)
        return "|".join("" if part is None else str(part) for part in parts)


_BY_LINE = frozenset({BreakType.MISSING_HERE, BreakType.DUPLICATE_AT_GATEWAY})


class BreakAction(NamedTuple):
    """What was done about a break: opened again, explained, resolved in this way or found to be none."""

    at: datetime
    action: str
    resolution: str | None
    actor: str
    note: str | None

    def view(self) -> dict[str, Any]:
        """Return the action as operators see it, JSON-ready."""
        return {**self._asdict(), "at": format_time(self.at)}


def is_opened_again(
    state: BreakState, resolution: Resolution | None, decided_effects: Mapping[str, int], found: Break
) -> bool:
    """Tell whether a break that a pass finds again is open from now on, whatever it was before.

    What had resolved, or was corrected, is not. What a person has accepted, explained or found to be none stays so, as
    long as the difference is the one that the person saw.
    """
    if state is BreakState.OPEN or found.is_settled:
        return False
    if state is BreakState.RESOLVED and resolution is not Resolution.FORCE:
        return True
    return dict(decided_effects) != dict(found.effects)


class BreakClosed(PaybridgeError):
    """The break is resolved or void, and takes no other decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBreak:
    """A break with its identity, its age, and what a person or the next pass made of it."""

    id: UUID
    reconciliation_id: UUID
    gateway_name: str
    found: Break
    state: BreakState
    resolution: Resolution | None
    note: str | None
    actor: str | None
    found_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class BreakDecision:
    """What a person makes of a break: its state from now on, and how it was resolved if it is."""

    action: str
    state: BreakState
    resolution: Resolution | None = None


EXPLAIN = BreakDecision("explain", BreakState.EXPLAINED)
VOID = BreakDecision("void", BreakState.VOID)
RESOLVE = BreakDecision("resolve", BreakState.RESOLVED, Resolution.MANUAL)
FORCE = BreakDecision("resolve", BreakState.RESOLVED, Resolution.FORCE)


def kept_note(text: str) -> str | None:
    """Return a note as it is kept, without the white space around it; None if it is empty or too long."""
    note = text.strip()
    return note if 0 < len(note) <= NOTE_CHARACTERS_MAX and "\x00" not in note else None


def decide(stored: StoredBreak, decision: BreakDecision, note: str, actor: str, now: datetime) -> StoredBreak | None:
    """Return the break after the decision; None if it is so already. Raises BreakClosed."""
    if (stored.state, stored.resolution, stored.note) == (decision.state, decision.resolution, note):
        return None
    if stored.state in {BreakState.RESOLVED, BreakState.VOID}:
        closed = stored.state if stored.resolution is None else f"{stored.state} ({stored.resolution})"
        raise BreakClosed(f"The break is {closed} by {stored.actor}. It is open again if a later pass finds it.")
    return replace(stored, state=decision.state, resolution=decision.resolution, note=note, actor=actor, changed_at=now)


def break_view(stored: StoredBreak, now: datetime) -> dict[str, Any]:
    """Return the break as operators see it, JSON-ready."""
    return {
        **public_break_view(stored),
        "reconciliation_id": str(stored.reconciliation_id),
        "age_seconds": max(int((now - stored.found_at).total_seconds()), 0),
        "state": str(stored.state),
        "resolution": None if stored.resolution is None else str(stored.resolution),
        "note": stored.note,
        "actor": stored.actor,
        "changed_at": format_time(stored.changed_at),
    }


def public_break_view(stored: StoredBreak) -> dict[str, Any]:
    """Return what is wrong, without what operators made of it, JSON-ready."""
    found = stored.found
    return {
        "break_id": str(stored.id),
        "type": str(found.type),
        "leg": str(found.leg),
        "direction": None if found.direction is None else str(found.direction),
        "operation_id": _text(found.operation_id),
        "payment_id": _text(found.payment_id),
        "merchant_id": _text(found.merchant_id),
        "kind": found.kind,
        "gateway_name": stored.gateway_name,
        "gateway": _side_view(found.gateway),
        "payments": _side_view(found.payments),
        "ledger": _side_view(found.ledger),
        "difference": {currency: _signed(minor, currency) for currency, minor in sorted(found.effects.items())},
        "difference_minor": dict(sorted(found.effects.items())),
        "found_at": format_time(stored.found_at),
    }


def _side_view(side: BreakSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    amount = None
    if side.amount_minor is not None and side.currency is not None:
        amount = format_places(side.amount_minor, stored_places(side.currency))
    return {
        "amount": amount,
        "amount_minor": side.amount_minor,
        "currency": side.currency,
        "status": side.status,
        "id": side.id,
        "at": None if side.at is None else format_time(side.at),
    }


def _signed(minor: int, currency: str) -> str:
    text = format_places(abs(minor), stored_places(currency))
    return f"-{text}" if minor < 0 else text


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
