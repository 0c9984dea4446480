"""Corrections: who took a journal back, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.money import format_places
from paybridge.core.times import format_time
from paybridge.ledger.domain.accounts import account_name
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.domain.rules import rule_name

REASON_CHARACTERS_MAX = 500


class CorrectionKey(NamedTuple):
    """The key under which a correction is ordered, and the SHA-256 of what is asked for."""

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A correction as it was ordered. `journal_id` is its journal, `corrects` the one that it takes back."""

    id: UUID
    event_id: UUID
    rule: int
    journal_id: UUID
    corrects: UUID
    reason: str
    actor: str
    created_at: datetime

    def view(self) -> dict[str, Any]:
        """Return the correction as operators see it, JSON-ready."""
        return {
            "correction_id": str(self.id),
            "event_id": str(self.event_id),
            "rule": rule_name(self.rule),
            "journal_id": str(self.journal_id),
            "corrects": str(self.corrects),
            "reason": self.reason,
            "created_at": format_time(self.created_at),
            "created_by": self.actor,
        }


def preview_view(opposite: Journal) -> dict[str, Any]:
    """Return the journal that a correction would post, JSON-ready."""
    return {
        "event_id": str(opposite.event_id),
        "rule": rule_name(opposite.rule),
        "corrects": str(opposite.corrects),
        "payment_id": None if opposite.payment_id is None else str(opposite.payment_id),
        "reason": opposite.reason,
        "transfers": [
            {
                "debit": account_name(each.debit),
                "credit": account_name(each.credit),
                "amount": format_places(each.amount_minor, each.debit.places),
            }
            for each in opposite.transfers
        ],
    }
