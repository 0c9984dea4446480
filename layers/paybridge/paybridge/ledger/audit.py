"""Audit the books: is every event posted that a rule posts, and has every payout its events?"""

from __future__ import annotations

import orjson

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import PAYOUT_SUBJECT, Event, parse_envelope
from paybridge.core.gaps import AuditedEvent, AuditedPart, IdRange, SubjectSlice
from paybridge.database.database import Transaction
from paybridge.ledger.post import ensure_postable, journals_of
from paybridge.ledger.store.audit import compare_payouts, find_unposted, next_payouts
from paybridge.outbox.comparing import gaps_of


def find_missing_journals(
    transaction: Transaction, ids: IdRange, grace_seconds: float, taken: str
) -> list[AuditedEvent]:
    """Return the events of the range that have no journal although a rule makes one."""
    bodies = [body for _, body in find_unposted(transaction, ids, grace_seconds, taken)]
    events = [event for body in bodies if (event := _postable(body)) is not None]
    rules = {journal.event_id: journal.rule for journal in journals_of(transaction, events)}
    return [
        AuditedEvent(
            event.id,
            event.type,
            event.merchant_id,
            event.subject_type,
            event.subject_id or event.payment_id or event.id,
            f"by rule {rules[event.id]}",
        )
        for event in events
        if event.id in rules
    ]


def audit_payouts(transaction: Transaction, slice_: SubjectSlice) -> AuditedPart:
    """Compare the next payouts with their events."""
    count, last = next_payouts(transaction, slice_.after, slice_.end, slice_.limit)
    rows = compare_payouts(transaction, slice_.after, slice_.until(count, last))
    return slice_.audited(count, last, gaps_of(PAYOUT_SUBJECT, rows))


def _postable(body: str) -> Event | None:
    """Return the event, None for one that the ledger cannot read and dead-letters."""
    try:
        event = parse_envelope(orjson.loads(body))
        ensure_postable(event)
    except (MalformedMessage, orjson.JSONDecodeError):
        return None
    return event
