"""Audit payments and refunds: does every committed change have its event?

A change and its event are written by one transaction, and one statement looks at both, so nothing is ever in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT, REFUND_SUBJECT
from paybridge.core.gaps import Gap, GapKind
from paybridge.database.database import Transaction
from paybridge.payments.store import audit
from paybridge.payments.store.audit import Compared


def audit_payments(transaction: Transaction, after: UUID, end: UUID, limit: int) -> tuple[int, UUID | None, list[Gap]]:
    """Audit the next payments below `end`, with their refunds.

    Return how many there are, the id of the last one (None if there may be none after it) and the gaps.
    """
    count, last = audit.next_payments(transaction, after, end, limit)
    is_last = last is None or count < limit
    # Events of payments that do not exist lie between those that do, and after the last one.
    until = UUID(int=end.int - 1) if is_last or last is None else last
    payments = audit.compare_payments(transaction, after, until)
    refunds = audit.compare_refunds(transaction, after, until)
    gaps = [gap for found in payments for gap in _gaps(PAYMENT_SUBJECT, found)]
    gaps += [gap for found in refunds for gap in _gaps(REFUND_SUBJECT, found)]
    return count, None if is_last else last, gaps


def _gaps(subject_type: str, found: Compared) -> Iterator[Gap]:
    for kind, detail in _faults(found):
        yield Gap(
            kind=kind,
            subject_type=subject_type,
            subject_id=found.id,
            merchant_id=found.merchant_id,
            event_type=found.last_type,
            detail=detail,
        )


def _faults(found: Compared) -> Iterator[tuple[GapKind, str]]:
    if found.last_sequence is None:
        yield GapKind.NO_SUBJECT, f"{found.events} events of a subject that does not exist"
        return
    if found.events is None or found.numbers is None or found.newest is None:
        yield GapKind.NO_EVENTS, f"{found.status}, with {found.last_sequence} changes and no event"
        return
    if found.numbers < found.newest:
        yield GapKind.SEQUENCE_HOLE, f"{found.numbers} of the events 1 to {found.newest}"
    if found.events > found.numbers:
        yield GapKind.SEQUENCE_TWICE, f"{found.events} events with {found.numbers} numbers"
    if found.last_sequence > found.newest:
        yield GapKind.LAST_EVENT_MISSING, f"{found.last_sequence} changes, and event {found.newest} is the last"
    elif found.last_sequence < found.newest:
        yield GapKind.EVENT_AHEAD, f"{found.last_sequence} changes, and there is an event {found.newest}"
    elif not found.agrees:
        yield GapKind.STATE_DIFFERS, f"{found.status}, and the last event is {found.last_type}"
