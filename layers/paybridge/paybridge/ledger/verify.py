"""Check the invariants of the books. Every check names the first items that break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from paybridge.core.findings import Finding, finding_of
from paybridge.database.database import Database
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.domain.proof import ComparedTransfer, JournalKey
from paybridge.ledger.domain.rebuild import NO_ID
from paybridge.ledger.domain.rules import POSTED_TYPES, rule_name
from paybridge.ledger.domain.seal import BLOCK_JOURNALS_MAX, Seal, SealPosition, fault_of_block, first_hash
from paybridge.ledger.ports import BEHIND_SECONDS_MAX, RebuildServices
from paybridge.ledger.post import readable_journals
from paybridge.ledger.store import books, seals, verifying
from paybridge.ledger.store.verifying import PostedJournal
from paybridge.ledger.verify_payouts import check_payouts
from paybridge.ledger.verify_totals import check_totals

SEALS_PAGE = 100
# What a check that is not full looks at.
NEWEST_SEALS = 100
NEWEST_EVENTS = 2000
NEWEST_DAYS = 30
# The seals may be so far behind the book.
UNSEALED_SECONDS_MAX = 900.0

BooksCheck = Callable[[RebuildServices, bool], Finding]


def check_sides(services: RebuildServices, full: bool) -> Finding:
    """Check that debits equal credits in every book and currency."""
    del full
    found = verifying.read_sides(services.database)
    for side in found:
        if side.debits_minor != side.credits_minor:
            sums = f"debits {side.debits_minor}, credits {side.credits_minor}"
            return Finding(False, len(found), f"book {side.book}, {side.currency}: {sums}")
    return Finding(True, len(found))


def check_seals(services: RebuildServices, full: bool) -> Finding:
    """Check that no sealed journal was changed, added or removed, and that the seals keep up."""
    checked = 0
    for book in seals.sealed_books(services.database):
        finding = _check_chain(services.database, book, full)
        checked += finding.checked
        # What looks like a fault may be a drop of the book that has begun meanwhile.
        if not finding.holds and book in seals.sealed_books(services.database):
            return Finding(False, checked, f"book {book}: {finding.detail}")
    return Finding(True, checked)


def check_log(services: RebuildServices, full: bool) -> Finding:
    """Check that the live book has the journals of the newest events, as the rules make them. A rebuild proves all."""
    del full
    now = services.clock.now()
    with services.database.transaction() as transaction:
        newest = verifying.read_newest(
            transaction,
            POSTED_TYPES,
            now - timedelta(days=NEWEST_DAYS),
            now - timedelta(seconds=BEHIND_SECONDS_MAX),
            NEWEST_EVENTS,
        )
        expected, unreadable = readable_journals(transaction, newest)
        live = books.find_live(transaction).id
        found = verifying.read_posted(transaction, live, {journal.event_id for journal in expected})
    faults = {event_id: f"it cannot be read: {reason}" for event_id, reason in unreadable.items()}
    faults |= {journal.event_id: fault for journal in expected if (fault := _fault(journal, found))}
    return finding_of(
        len(expected) + len(unreadable), [f"event {event_id}: {fault}" for event_id, fault in sorted(faults.items())]
    )


CHECKS: Mapping[str, BooksCheck] = {
    "balances": check_totals,
    "debits_equal_credits": check_sides,
    "payouts": check_payouts,
    "seals": check_seals,
    "live_book_equals_log": check_log,
}


def _check_chain(database: Database, book: int, full: bool) -> Finding:
    found = seals.read_head(database, book)
    if found is None:
        return Finding(True, 0)
    head, newest = found
    if newest != head.number:
        return Finding(False, 0, f"the chain ends with seal {newest}, its head with {head.number}")
    finding = _check_seals_until(database, book, head, 0 if full else max(0, head.number - NEWEST_SEALS))
    return finding if not finding.holds else _check_keeps_up(database, book, finding.checked)


def _check_seals_until(database: Database, book: int, head: Seal, start: int) -> Finding:
    """Check the seals after number `start` up to the head. What is sealed meanwhile is for the next check."""
    previous = Seal(0, SealPosition(0, NO_ID, 0), first_hash(book), b"")
    if start:
        for _, seal in seals.read_seals(database, book, start - 1, 1):
            previous = seal
        if previous.number != start:
            return Finding(False, 0, f"seal {start} is missing")
    checked, limit = 0, BLOCK_JOURNALS_MAX + 1
    while page := seals.read_seals(database, book, previous.number, min(SEALS_PAGE, head.number - previous.number)):
        for block, seal in page:
            journals = seals.read_between(database, book, previous.last, seal.last, limit)
            fault = fault_of_block(journals, block, seal, previous, limit=limit)
            if fault:
                return Finding(False, checked, fault)
            checked, previous = checked + 1, seal
    if (previous.number, previous.hash) != (head.number, head.hash):
        return Finding(False, checked, f"seal {previous.number} is not what the head of the chain says")
    return Finding(True, checked)


def _check_keeps_up(database: Database, book: int, checked: int) -> Finding:
    """Check that no journal waits for long. The head is read again, because the check of the seals took its time."""
    found = seals.read_head(database, book)
    if found is None:
        return Finding(True, checked)
    unsealed = seals.count_unsealed(database, book, found[0].last, BLOCK_JOURNALS_MAX)
    if unsealed.seconds > UNSEALED_SECONDS_MAX:
        return Finding(False, checked, f"{unsealed.journals} journals wait for a seal, for {unsealed.seconds:.0f} s")
    return Finding(True, checked)


def _fault(journal: Journal, found: Mapping[JournalKey, PostedJournal]) -> str | None:
    posted = found.get(JournalKey(journal.event_id, journal.rule))
    if posted is None:
        return f"its journal {rule_name(journal.rule)} is missing"
    # An older version of the rule posted it. Only a rebuild tells whether that still counts.
    if posted.rule_version < journal.rule_version:
        return None
    expected = tuple(ComparedTransfer(number, *each) for number, each in enumerate(journal.transfers, 1))
    if posted.id != journal.id or posted.transfers != expected or posted.happened_at != journal.happened_at:
        return f"its journal {rule_name(journal.rule)} is not what the rule posts"
    return None
