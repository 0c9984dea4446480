"""Audit the outbox in slices, each one transaction that looks at a bounded number of rows.

A slice reads and changes nothing. So an audit may stop after any slice, and go on from its position.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from paybridge.audit.domain import AuditOrder, AuditPage, AuditPosition, Phase
from paybridge.audit.ports import AuditedConsumer, AuditServices
from paybridge.core.gaps import AuditedEvent, Gap, IdRange, SubjectSlice
from paybridge.database.database import Transaction
from paybridge.outbox.audit import find_kept_from, find_unpublished, next_rows, widen_memory

# A slice takes a fraction of a second, and holds no more than this in memory.
SLICE_SUBJECTS = 5_000
SLICE_ROWS = 10_000
# More gaps than this have one cause, so the audit stops and says so. An answer of the API can carry them all.
GAPS_MAX = 1_000


def begin(order: AuditOrder) -> AuditPosition:
    """Return the position of an audit that has done nothing yet."""
    return order.begin_of(Phase.PAYMENTS)


def run_audit(
    services: AuditServices,
    order: AuditOrder,
    position: AuditPosition,
    seconds_max: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> AuditPage:
    """Audit from the position until all is done, the seconds are over or there are GAPS_MAX gaps; at least one slice.

    A slice with more gaps than are left is repeated with fewer rows, and is the last one. Raises DatabaseUnavailable.
    """
    ends_at = monotonic() + seconds_max
    page = AuditPage(order=order, position=position)
    while page.position is not None:
        divisor = 1
        after = _after_slice(services, page, page.position, divisor)
        # One payment or row has few gaps.
        while len(after.gaps) > GAPS_MAX and divisor < SLICE_ROWS:
            divisor *= 2
            after = _after_slice(services, page, page.position, divisor)
        page = after
        if divisor > 1 or monotonic() >= ends_at or len(page.gaps) >= GAPS_MAX:
            break
    return page


def _after_slice(services: AuditServices, page: AuditPage, position: AuditPosition, divisor: int) -> AuditPage:
    with services.database.transaction() as transaction:
        widen_memory(transaction)
        if position.phase is Phase.ROWS:
            return _rows_slice(services, transaction, page, position, max(SLICE_ROWS // divisor, 1))
        return _subjects_slice(services, transaction, page, position, max(SLICE_SUBJECTS // divisor, 1))


def _subjects_slice(
    services: AuditServices, transaction: Transaction, page: AuditPage, position: AuditPosition, limit: int
) -> AuditPage:
    order, phase = page.order, position.phase
    slice_ = SubjectSlice(position.after, order.end_id, limit, order.begin_at, find_kept_from(transaction))
    part = services.subjects[phase](transaction, slice_)
    after = order.after_phase(phase) if part.last is None else AuditPosition(phase, part.last)
    is_payments = phase is Phase.PAYMENTS
    return replace(
        page,
        position=after,
        payments=page.payments + (part.count if is_payments else 0),
        others=page.others + (0 if is_payments else part.count),
        gaps=(*page.gaps, *part.gaps),
    )


def _rows_slice(
    services: AuditServices, transaction: Transaction, page: AuditPage, position: AuditPosition, limit: int
) -> AuditPage:
    count, last = next_rows(transaction, position.after, page.order.end_id, limit)
    if last is None:
        return replace(page, position=None)
    ids = IdRange(position.after, last)
    # Rows of several slices may be about one of them.
    older = services.audit_older(transaction, ids, page.order.begin_id)
    gaps = [gap for gap in older if gap not in page.gaps]
    gaps += find_unpublished(transaction, ids, page.order.grace_seconds)
    for consumer in services.consumers:
        missing = consumer.find_missing(transaction, ids, page.order.grace_seconds, consumer.taken)
        gaps += _unaccounted(services, transaction, consumer, missing)
    after = AuditPosition(Phase.ROWS, last) if count == limit else None
    return replace(page, position=after, checked=page.checked + count, gaps=(*page.gaps, *gaps))


def _unaccounted(
    services: AuditServices, transaction: Transaction, consumer: AuditedConsumer, missing: list[AuditedEvent]
) -> list[Gap]:
    """Return a gap for each event that the consumer does not have as a dead letter either."""
    if not missing:
        return []
    messages = [message for event in missing for message in _messages(event)]
    dead = services.find_dead(transaction, messages, consumer.queues)
    return [
        Gap(
            kind=consumer.kind,
            subject_type=event.subject_type,
            subject_id=event.subject_id,
            event_id=event.id,
            event_type=event.type,
            merchant_id=event.merchant_id,
            consumer=consumer.queues[0],
            detail=event.detail,
        )
        for event in missing
        if dead.isdisjoint(_messages(event))
    ]


def _messages(event: AuditedEvent) -> tuple[UUID, ...]:
    """Return the messages that bring the event to its consumer."""
    return event.messages or (event.id,)
