"""Take a journal back by a new one with the opposite transfers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import InvalidInput
from paybridge.database.database import Database
from paybridge.ledger.domain.journals import Journal, reversed_journal
from paybridge.ledger.domain.rules import rule_name
from paybridge.ledger.store import books, corrections
from paybridge.ledger.store import journals as journal_store

REASON_CHARACTERS_MAX = 500


def correct_journal(database: Database, clock: Clock, event_id: UUID, reason: str) -> Journal:
    """Post the opposite of the journal that this event made in the live book, and return it.

    The journal itself stays. Its correction happens now, names it and says why. Raises InvalidInput
    (`reason_malformed`, `journal_not_found`, `journal_corrected`) and DatabaseUnavailable.
    """
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or "\x00" in reason:
        raise InvalidInput("reason_malformed", f"Give a reason of 1 to {REASON_CHARACTERS_MAX} characters.", "reason")
    with database.transaction() as transaction:
        book = books.share_live(transaction)
        journal = corrections.find(transaction, book, event_id)
        if journal is None:
            raise InvalidInput("journal_not_found", "The books have no journal of this event.", "event_id")
        correction = _correction(journal, reason, clock.now())
        if not journal_store.post(transaction, book, [correction]):
            raise InvalidInput("journal_corrected", "The journal of this event was corrected before.", "event_id")
    return correction


def _correction(journal: Journal, reason: str, now: datetime) -> Journal:
    return reversed_journal(journal, rule_name(-journal.rule), reason, now)
