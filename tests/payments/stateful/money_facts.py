"""What the events alone say about the money of a payment: this is all that a ledger ever learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

# By the type of the event and that of its operation: what becomes more or less, and by which amount.
_RULES: dict[tuple[str, str | None], tuple[tuple[str, str, int], ...]] = {
    ("payment.requires_capture", "authorization"): (("held", "amount", 1),),
    ("payment.succeeded", "charge"): (("captured", "amount", 1),),
    ("payment.succeeded", "capture"): (("captured", "amount", 1), ("held", "authorized", -1)),
    ("payment.failed", "capture"): (("held", "authorized", -1),),
    ("payment.canceled", "void"): (("held", "amount", -1),),
    ("refund.succeeded", None): (("refunded", "amount", 1),),
    ("charge.taken", None): (("taken", "amount", 1),),
    ("charge.returned", None): (("returned", "amount", 1),),
}


@dataclass(slots=True)
class Money:
    """Minor units: held, taken for the payment, given back of that, and taken and returned beside the payment."""

    held: int = 0
    captured: int = 0
    refunded: int = 0
    taken: int = 0
    returned: int = 0

    @property
    def net(self) -> int:
        """Return what the gateway has of the customer's money."""
        return self.captured - self.refunded + self.taken - self.returned


def money_of(facts: Iterable[Mapping[str, Any]]) -> Money:
    """Add up the events of one payment, in whatever order they come."""
    money = Money()
    for fact in facts:
        _add(money, fact["type"], orjson.loads(fact["body"])["data"])
    return money


def _add(money: Money, type_: str, data: Mapping[str, Any]) -> None:
    operation = data.get("operation") or {}
    for name, member, sign in _RULES.get((type_, operation.get("type")), ()):
        amount = (operation or data)[member]
        setattr(money, name, getattr(money, name) + sign * _minor(amount))
    if type_ == "refund.failed" and data["taken_back"]:
        money.refunded -= _minor(data["amount"])


def _minor(amount: str) -> int:
    """Return the minor units in a text of two places."""
    return int(amount.replace(".", ""))
