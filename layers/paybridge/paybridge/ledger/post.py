"""Post events to the live book."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import orjson

from paybridge.access.domain.fees import FeeChange
from paybridge.access.find_fees import find_fees
from paybridge.core.errors import LockTimeout, MalformedMessage, reason_of
from paybridge.core.events import Event, parse_envelope
from paybridge.core.isolation import run_each_item, run_isolating_bad_items
from paybridge.database import counters
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Database, Transaction
from paybridge.ledger.domain.journals import JOURNALS_POSTED, TRANSFERS_POSTED, Journal
from paybridge.ledger.domain.rules import CHARGED_TYPES, RULES, PostingRule, journal_of
from paybridge.ledger.store import books
from paybridge.ledger.store import journals as journal_store


class PostedCounts(NamedTuple):
    """How many journals and transfers are new."""

    journals: int
    transfers: int


@dataclass(slots=True)
class PostReport:
    """What has become of a batch: how many journals are new and known, and the events that could not be posted.

    `transfers` are those of the new journals.
    """

    posted: int = 0
    transfers: int = 0
    repeated: int = 0
    locked: list[Event] = field(default_factory=list)
    refused: list[tuple[Event, Exception]] = field(default_factory=list)


def ensure_postable(event: Event) -> None:
    """Raise MalformedMessage if no retry can make the money of the event readable."""
    if event.sequence is None:
        raise MalformedMessage("a command is no fact")
    journal_of(event)


def post_events(database: Database, events: Sequence[Event]) -> PostReport:
    """Post the events, each once however often it comes and in whatever order. One transaction for all.

    An event that the database refuses, or whose account another transaction holds, is noted in the report, and the
    others are posted. Raises DatabaseUnavailable, and LockTimeout if none could be posted.
    """
    report = PostReport()

    def on_bad_event(event: Event, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            report.locked.append(event)
        else:
            report.refused.append((event, error))

    def post(some: Sequence[Event]) -> tuple[int, PostedCounts]:
        with database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
            journals = journals_of(transaction, some)
            if not journals:
                return 0, PostedCounts(0, 0)
            return len(journals), post_and_count(transaction, books.share_live(transaction), journals)

    if events:
        for made, posted in run_isolating_bad_items(post, events, on_bad_event):
            report.posted += posted.journals
            report.transfers += posted.transfers
            report.repeated += made - posted.journals
    return report


def post_and_count(transaction: Transaction, live_book: int, journals: Sequence[Journal]) -> PostedCounts:
    """Write the journals that the live book does not have yet, count them for the metrics, and return how many.

    Raises LockTimeout.
    """
    new = journal_store.post(transaction, live_book, journals)
    transfers = {(each.event_id, each.rule): len(each.transfers) for each in journals}
    counts = PostedCounts(len(new), sum(transfers[key] for key in new))
    counters.add(transaction, {JOURNALS_POSTED: counts.journals, TRANSFERS_POSTED: counts.transfers})
    return counts


def journals_of(transaction: Transaction, events: Sequence[Event]) -> list[Journal]:
    """Return the journals of the events, with the fees that were in force. Raises MalformedMessage."""
    fees = _fees_of(transaction, events)
    journals = (journal_of(event, fees.get(event.merchant_id, ())) for event in events)
    return [journal for journal in journals if journal is not None]


def readable_journals(
    transaction: Transaction, bodies: Iterable[tuple[UUID, str]], rules: Sequence[PostingRule] = RULES
) -> tuple[list[Journal], dict[UUID, str]]:
    """Return the journals of logged events, and by its id why an event cannot be posted. No event fails the others."""
    unreadable: dict[UUID, str] = {}
    parsed = run_each_item(
        lambda row: parse_envelope(orjson.loads(row[1])),
        bodies,
        lambda row, error: unreadable.update({row[0]: reason_of(error)}),
    )
    fees = _fees_of(transaction, parsed)
    journals = run_each_item(
        lambda event: journal_of(event, fees.get(event.merchant_id, ()), rules),
        parsed,
        lambda event, error: unreadable.update({event.id: reason_of(error)}),
    )
    return [journal for journal in journals if journal is not None], unreadable


def _fees_of(transaction: Transaction, events: Sequence[Event]) -> dict[UUID, list[FeeChange]]:
    charged = {event.merchant_id for event in events if event.type in CHARGED_TYPES}
    return find_fees(transaction, charged) if charged else {}
