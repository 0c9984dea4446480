"""Take a journal back by a new one with the opposite transfers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import InvalidInput
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.ledger.domain.corrections import REASON_CHARACTERS_MAX, Correction, CorrectionKey
from paybridge.ledger.domain.journals import Journal, reversed_journal
from paybridge.ledger.domain.rules import PAYOUT_RULES, rule_name
from paybridge.ledger.post import post_and_count
from paybridge.ledger.store import books, corrections
from paybridge.ledger.store import journals as journal_store


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionOrder:
    """Which journal to take back, by its event, why, and who says so."""

    event_id: UUID
    reason: str
    actor: str
    key: CorrectionKey


@dataclass(frozen=True, slots=True)
class Corrected:
    """The correction; `replayed` if an earlier request under the same key ordered it."""

    correction: Correction
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class CorrectionKeyTaken:
    """The key ordered another correction."""

    correction_id: UUID


class _KeyInUse(Exception):
    """Another request under the key was first. Nothing of the transaction stays."""


def correct_journal(
    database: Database, clock: Clock, ids: Ids, order: CorrectionOrder
) -> Corrected | CorrectionKeyTaken:
    """Post the opposite of the journal that this event made in the live book, and say so.

    The journal itself stays. Its correction happens now, names it and says why. Raises InvalidInput
    (`reason_malformed`, `journal_not_found`, `journal_of_payout`, `journal_corrected`), DatabaseUnavailable and
    LockTimeout.
    """
    _check_reason(order.reason)
    earlier = _find_earlier(database, order.key)
    if earlier is not None:
        return earlier
    try:
        return Corrected(_correct(database, ids.new(), order, clock.now()))
    except _KeyInUse:
        earlier = _find_earlier(database, order.key)
        assert earlier is not None, "a correction was removed"
        return earlier


def preview_correction(database: Database, clock: Clock, event_id: UUID, reason: str) -> Journal:
    """Return the journal that a correction would post, and post nothing. Raises as `correct_journal` does."""
    _check_reason(reason)
    with database.transaction() as transaction:
        journal = _find_correctable(transaction, books.share_live(transaction), event_id)
        opposite = _opposite(journal, reason, clock.now())
        if not journal_store.find_missing(transaction, [opposite]):
            raise _corrected_before()
    return opposite


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or "\x00" in reason:
        raise InvalidInput("reason_malformed", f"Give a reason of 1 to {REASON_CHARACTERS_MAX} characters.", "reason")


def _correct(database: Database, id_: UUID, order: CorrectionOrder, now: datetime) -> Correction:
    with database.transaction() as transaction:
        book = books.share_live(transaction)
        journal = _find_correctable(transaction, book, order.event_id)
        opposite = _opposite(journal, order.reason, now)
        correction = Correction(
            id=id_,
            event_id=journal.event_id,
            rule=journal.rule,
            journal_id=opposite.id,
            corrects=journal.id,
            reason=order.reason,
            actor=order.actor,
            created_at=now,
        )
        if not corrections.add(transaction, correction, order.key):
            raise _KeyInUse
        if not post_and_count(transaction, book, [opposite]).journals:
            raise _corrected_before()
    return correction


def _find_correctable(transaction: Transaction, book: int, event_id: UUID) -> Journal:
    journal = corrections.find_journal(transaction, book, event_id)
    if journal is None:
        raise InvalidInput("journal_not_found", "The books have no journal of this event.", "event_id")
    if journal.rule in PAYOUT_RULES:
        # Otherwise the amount is available again while the payout stays as it is, and leaves twice.
        text = f"A payout is not corrected. If payout {journal.operation_id} did not leave, settle it as failed."
        raise InvalidInput("journal_of_payout", text, "event_id")
    return journal


def _corrected_before() -> InvalidInput:
    return InvalidInput("journal_corrected", "The journal of this event was corrected before.", "event_id")


def _opposite(journal: Journal, reason: str, now: datetime) -> Journal:
    return reversed_journal(journal, rule_name(-journal.rule), reason, now)


def _find_earlier(database: Database, key: CorrectionKey) -> Corrected | CorrectionKeyTaken | None:
    found = corrections.find_by_key(database, key.key)
    if found is None:
        return None
    fingerprint, correction = found
    return Corrected(correction, replayed=True) if fingerprint == key.fingerprint else CorrectionKeyTaken(correction.id)
