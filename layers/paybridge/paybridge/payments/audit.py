"""Audit payments and refunds: does every committed change have its event?"""

from __future__ import annotations

from uuid import UUID

from paybridge.core.events import PAYMENT_SUBJECT, REFUND_SUBJECT
from paybridge.core.gaps import AuditedPart, Gap, IdRange, SubjectSlice
from paybridge.database.database import Transaction
from paybridge.outbox.comparing import gaps_of
from paybridge.payments.store import audit


def audit_payments(transaction: Transaction, slice_: SubjectSlice) -> AuditedPart:
    """Compare the next payments with their events, and with them their refunds."""
    count, last = audit.next_payments(transaction, slice_.after, slice_.end, slice_.limit)
    until = slice_.until(count, last)
    gaps: list[Gap] = gaps_of(PAYMENT_SUBJECT, audit.compare_payments(transaction, slice_.after, until))
    gaps += gaps_of(REFUND_SUBJECT, audit.compare_refunds(transaction, slice_.after, until))
    return slice_.audited(count, last, gaps)


def audit_older_payments(transaction: Transaction, ids: IdRange, begin: UUID) -> list[Gap]:
    """Compare the payments that the rows of the range are about, and that were created up to the id `begin`."""
    payments, refunds = audit.compare_older(transaction, ids, begin)
    return gaps_of(PAYMENT_SUBJECT, payments) + gaps_of(REFUND_SUBJECT, refunds)
