"""The decisions that hold payments back for a review, and the answers to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Transaction
from paybridge.fraud.domain.reviews import Decision, ReviewAnswer
from paybridge.fraud.store import decisions


def find(database: Database, payment_ids: Collection[UUID]) -> dict[UUID, Decision]:
    """Return the decisions about these payments. Raises DatabaseUnavailable."""
    return decisions.find(database, payment_ids) if payment_ids else {}


def expired(database: Database, now: datetime, limit: int) -> list[UUID]:
    """Return up to `limit` payments whose review has expired without an answer. Raises DatabaseUnavailable."""
    return decisions.expired(database, now, limit)


def answer(
    transaction: Transaction,
    payment_ids: Sequence[UUID],
    answered: ReviewAnswer,
    actor: str,
    note: str | None,
    now: datetime,
) -> None:
    """Note who answered the reviews of these payments, and how. One that was answered before stays as it is."""
    decisions.answer(transaction, payment_ids, answered, actor, note, now)
