"""Settle a payout: say whether its money arrived."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.ledger.domain.payouts import Payout, PayoutOutcome, PayoutStatus, payout_event
from paybridge.ledger.store import payouts
from paybridge.outbox import store as outbox


@dataclass(frozen=True, slots=True)
class AlreadySettled:
    """The payout was settled before, in another way."""

    payout: Payout


def settle_payout(
    database: Database,
    clock: Clock,
    ids: Ids,
    payout_id: UUID,
    outcome: PayoutOutcome,
    reason: str | None,
    *,
    by: str,
) -> Payout | AlreadySettled | None:
    """Settle the payout, with its event, and return it; the same outcome again changes nothing.

    `reason` is that of a failure, `by` who says so. Return None if there is no such payout. The ledger posts the event:
    what failed is available again, what was paid has left. Raises DatabaseUnavailable and LockTimeout.
    """
    status = PayoutStatus(outcome)
    reason = reason if status is PayoutStatus.FAILED else None
    with database.transaction() as transaction:
        payout = payouts.lock(transaction, payout_id)
        if payout is None:
            return None
        if payout.status is not PayoutStatus.PENDING:
            return payout if payout.status is status else AlreadySettled(payout)
        now = clock.now()
        payouts.settle(transaction, payout_id, status, reason, by, now)
        settled = replace(
            payout, status=status, failure_reason=reason, last_sequence=payout.last_sequence + 1, updated_at=now
        )
        outbox.add(transaction, [payout_event(ids.new(), settled)])
    return settled
