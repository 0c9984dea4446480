"""Compare each payout with its journals."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from paybridge.core.findings import NAMED_MAX, Finding, finding_of
from paybridge.database.database import Database
from paybridge.ledger.domain.payouts import PayoutStatus
from paybridge.ledger.domain.rebuild import NO_ID
from paybridge.ledger.ports import BEHIND_SECONDS_MAX, RebuildServices
from paybridge.ledger.store import verifying
from paybridge.ledger.store.verifying import PostedPayout

PAYOUTS_PAGE = 500
# What a check that is not full looks at.
NEWEST_PAYOUTS = 1000
_ID_MAX = UUID(int=2**128 - 1)


def check_payouts(services: RebuildServices, full: bool) -> Finding:
    """Compare each payout with its journals in the live book: what is reserved for it, and what has left.

    Journals of no payout, and an account that is below zero because more was taken than was reserved, are faults too.
    If not `full`, look at the newest payouts. Corrections do not count: they say why the books differ.
    """
    database = services.database
    settled_before = services.clock.now() - timedelta(seconds=BEHIND_SECONDS_MAX)
    after = NO_ID if full else verifying.find_before_newest(database, NEWEST_PAYOUTS) or NO_ID
    checked, faults = 0, list[str]()
    while page := verifying.read_payouts(database, after, PAYOUTS_PAGE):
        checked += len(page)
        faults += [f"payout {each.id}: {fault}" for each in page if (fault := _fault(each, settled_before))]
        faults += _unknown_payouts(database, after, page[-1].id)
        after = page[-1].id
    faults += _unknown_payouts(database, after, _ID_MAX)
    reserved = verifying.read_reserved(database)
    faults += [f"{each.owner}/reserved/{each.currency} is {each.minor}" for each in reserved if each.minor < 0]
    return finding_of(checked + len(reserved), faults)


def _unknown_payouts(database: Database, after: UUID, until: UUID) -> list[str]:
    unknown = verifying.find_unknown_payouts(database, after, until, NAMED_MAX)
    return [f"payout {id_}: there are journals and no payout" for id_ in unknown]


def _fault(payout: PostedPayout, settled_before: datetime) -> str | None:
    is_pending, is_paid = payout.status is PayoutStatus.PENDING, payout.status is PayoutStatus.PAID
    expected = (payout.amount_minor if is_pending else 0, payout.amount_minor if is_paid else 0)
    found = (payout.reserved_minor, payout.paid_minor)
    # It is settled before the books have the event of that.
    if found == expected or (payout.updated_at >= settled_before and found == (payout.amount_minor, 0)):
        return None
    return f"{payout.status}, {payout.amount_minor}: the books have {found[0]} reserved and {found[1]} paid"
