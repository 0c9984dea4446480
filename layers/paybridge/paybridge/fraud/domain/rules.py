"""Fraud rules as values: what a merchant's rule set says, and what it needs to know about a payment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.money import format_places

# Amounts in rules are compared in this many decimal places, the most that any currency has.
AMOUNT_PLACES = 4


class Verdict(StrEnum):
    """What a rule that fires asks for, and what screening decides. A later one is more severe."""

    ALLOW = "allow"
    REVIEW = "review"
    BLOCK = "block"


class Per(StrEnum):
    """Which payments of the merchant a velocity counts: those with the same customer or method, or all of them."""

    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"
    MERCHANT = "merchant"


class Window(NamedTuple):
    """A sliding window over the payments of one key."""

    per: Per
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Velocity:
    """A condition on the payments that were screened before, within a window.

    `amount_gte` is in units of 10^-AMOUNT_PLACES of the payment's currency, and only payments in that currency count
    for it.
    """

    window: Window
    count_gte: int | None = None
    amount_gte: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must be true of a payment for a rule to fire: everything that is not None.

    `amount_gte` is in units of 10^-AMOUNT_PLACES of the payment's currency.
    """

    amount_gte: int | None = None
    currency_in: frozenset[str] | None = None
    customer_in: frozenset[str] | None = None
    payment_method_in: frozenset[str] | None = None
    first_seen_customer: bool | None = None
    velocity: Velocity | None = None


@dataclass(frozen=True, slots=True)
class FraudRule:
    """One rule of a merchant."""

    id: str
    action: Verdict
    score: int
    when: Conditions


@dataclass(frozen=True)
class RuleSet:
    """One version of a merchant's rules, in the order in which they are evaluated."""

    version: int
    rules: tuple[FraudRule, ...]

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Return the windows in which the rules count, each once."""
        velocities = (rule.when.velocity for rule in self.rules)
        return tuple(dict.fromkeys(velocity.window for velocity in velocities if velocity is not None))

    @cached_property
    def asks_first_seen(self) -> bool:
        """Tell whether a rule asks if the customer is new."""
        return any(rule.when.first_seen_customer is not None for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedPayment:
    """A payment to screen. `at` is when it is screened, or in a dry run when it was created."""

    payment_id: UUID
    merchant_id: UUID
    at: datetime
    amount_minor: int
    currency: str
    currency_places: int
    customer: str | None
    payment_method: str | None

    def key(self, per: Per) -> str | None:
        """Return the value by which payments are counted; None if the payment has none."""
        match per:
            case Per.CUSTOMER:
                return self.customer
            case Per.PAYMENT_METHOD:
                return self.payment_method
            case Per.MERCHANT:
                return ""


class Count(NamedTuple):
    """How many payments were screened before in a window, and the sum of those in the candidate's currency."""

    number: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules need to know about a candidate beyond the candidate itself.

    `first_seen_customer` is None where no rule asks, and where the payment names no customer. A window whose key the
    payment lacks is not in `counts`.
    """

    counts: Mapping[Window, Count]
    first_seen_customer: bool | None = None

    def members(self, currency_places: int) -> dict[str, Any]:
        """Return the facts as they are stored with a decision, JSON-ready, amounts as decimal strings."""
        velocities = [
            {
                "per": window.per,
                "window_seconds": window.seconds,
                "count": number,
                "amount": format_places(amount_minor, currency_places),
            }
            for window, (number, amount_minor) in self.counts.items()
        ]
        first_seen = {} if self.first_seen_customer is None else {"first_seen_customer": self.first_seen_customer}
        return {**first_seen, "velocities": velocities}


@dataclass(frozen=True, slots=True)
class Screening:
    """What screening decided about a payment. `rules` are the ids of those that fired, in order."""

    decision: Verdict
    score: int
    rules: tuple[str, ...]

    def view(self) -> dict[str, Any]:
        """Return the screening as a payment shows it, JSON-ready."""
        return {"decision": str(self.decision), "score": self.score, "rules": list(self.rules)}
