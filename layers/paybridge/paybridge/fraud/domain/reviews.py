"""A decision as it is kept, and the answer to a payment that waits for a review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.times import format_time

NOTE_CHARACTERS_MAX = 500
# The actor of a review that expired without an answer.
EXPIRY_ACTOR = "expiry"


class ReviewAnswer(StrEnum):
    """How a review ended."""

    APPROVED = "approved"
    REJECTED = "rejected"
    # The payment left the review in another way, such as being canceled.
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored decision: what the rules of that version made of the payment, what they read, and the review."""

    payment_id: UUID
    rule_set_version: int
    decision: str
    score: int
    rules: list[str]
    facts: dict[str, Any]
    screened_at: datetime
    review_expires_at: datetime | None
    answer: str | None
    actor: str | None
    note: str | None
    answered_at: datetime | None

    def view(self) -> dict[str, Any]:
        """Return the decision as operators see it beside its payment, JSON-ready."""
        return {
            "decision": self.decision,
            "score": self.score,
            "rules": self.rules,
            "rule_set_version": self.rule_set_version,
            "facts": self.facts,
            "screened_at": format_time(self.screened_at),
            "expires_at": None if self.review_expires_at is None else format_time(self.review_expires_at),
        }
