"""What merchants pay for each payment, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Other fees count only from so much later on. By then the change has been committed, so that every payment that they
# count for finds them, and a book that is built again from the events charges the same.
FEE_NOTICE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FeeRule:
    """What a merchant pays for each captured payment: a percentage of it, and a fixed amount by currency.

    Both are decimal strings.
    """

    percent: str = "0"
    fixed: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class FeeChange:
    """An entry of the history: from `valid_from` on the rule counts, or with None nothing is charged."""

    valid_from: datetime
    rule: FeeRule | None


def fee_rule_of(fees: Mapping[str, Any] | None) -> FeeRule | None:
    """Return the rule that a merchant's `fees` describe."""
    if fees is None:
        return None
    return FeeRule(fees.get("percent") or "0", fees.get("fixed"))


def rule_in_force(history: Sequence[FeeChange], moment: datetime) -> FeeRule | None:
    """Return the rule of that moment. The history is in the order of time, and nothing is charged before it."""
    return next((change.rule for change in reversed(history) if change.valid_from <= moment), None)
