"""Order a payout from what is available to a merchant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.core.money import exponent
from paybridge.database.database import Database, Transaction
from paybridge.ledger.domain.accounts import AccountKind, account_key
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.domain.payouts import Payout, PayoutKey, PayoutStatus, payout_event
from paybridge.ledger.domain.rules import journal_of
from paybridge.ledger.post import post_and_count
from paybridge.ledger.store import accounts, books, payouts
from paybridge.outbox import store as outbox

# A deadlock is broken at once, and a lock that is held too long shows itself after the session's two seconds.
TRIES_MAX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOrder:
    """What a merchant asks for, already validated, in minor units of the currency."""

    merchant_id: UUID
    amount_minor: int
    currency: str
    key: PayoutKey
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Ordered:
    """The payout as it was ordered; `replayed` if an earlier request under the same key ordered it."""

    payout: Payout
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class KeyTaken:
    """The key ordered another payout."""

    payout_id: UUID


@dataclass(frozen=True, slots=True)
class Insufficient:
    """Less is available than was asked for: `available_minor`, below zero if more was refunded than was left."""

    available_minor: int
    places: int


PayoutResult = Ordered | KeyTaken | Insufficient


class _NotOrdered(Exception):
    """The key is taken, or the balance is too small. Nothing of the transaction stays."""


def create_payout(database: Database, clock: Clock, ids: Ids, order: PayoutOrder) -> PayoutResult:
    """Write the payout, its journal and its event in one transaction, or say why not.

    The balance is locked for it, so payouts that are ordered at once never take more than there is. Raises
    DatabaseUnavailable, and LockTimeout if others hold the account too long or a deadlock was broken again and again.
    Neither says anything about the balance. A retry with the same key is safe then.
    """
    locked: LockTimeout | None = None
    for _ in range(TRIES_MAX):
        earlier = find_earlier(database, order.merchant_id, order.key)
        if earlier is not None:
            return earlier
        payout = _new_payout(clock, ids, order)
        try:
            with database.transaction() as transaction:
                _write(transaction, payout, payout_event(ids.new(), payout), order.key)
            return Ordered(payout)
        except LockTimeout as error:
            locked = error
        except _NotOrdered:
            refused = _refused(database, order, payout)
            if refused is not None:
                return refused
    raise locked or LockTimeout("the balance changed again and again")


def find_earlier(database: Database, merchant_id: UUID, key: PayoutKey) -> Ordered | KeyTaken | None:
    """Return what was ordered under the key before, None if it is free. Raises DatabaseUnavailable."""
    found = payouts.find_by_key(database, merchant_id, key.key)
    if found is None:
        return None
    fingerprint, payout = found
    if fingerprint != key.fingerprint:
        return KeyTaken(payout.id)
    # The answer is that of the order, whatever has become of the payout since.
    ordered = replace(
        payout, status=PayoutStatus.PENDING, failure_reason=None, last_sequence=1, updated_at=payout.created_at
    )
    return Ordered(ordered, replayed=True)


def _write(transaction: Transaction, payout: Payout, event: Event, key: PayoutKey) -> None:
    journal = journal_of(event)
    assert isinstance(journal, Journal), "no rule posts payouts"
    book = books.share_live(transaction)
    available, reserved = (
        account_key(payout.merchant_id, kind, payout.currency, payout.places)
        for kind in (AccountKind.AVAILABLE, AccountKind.RESERVED)
    )
    numbers = accounts.ensure(transaction, book, [available, reserved])
    if not payouts.order(transaction, payout, key, available=numbers[available], reserved=numbers[reserved]):
        raise _NotOrdered
    post_and_count(transaction, book, [journal])
    outbox.add(transaction, [event])


def _new_payout(clock: Clock, ids: Ids, order: PayoutOrder) -> Payout:
    now = clock.now()
    return Payout(
        id=ids.new(),
        merchant_id=order.merchant_id,
        currency=order.currency,
        places=exponent(order.currency),
        amount_minor=order.amount_minor,
        status=PayoutStatus.PENDING,
        failure_reason=None,
        correlation_id=order.correlation_id,
        last_sequence=1,
        created_at=now,
        updated_at=now,
    )


def _refused(database: Database, order: PayoutOrder, payout: Payout) -> PayoutResult | None:
    """Return why nothing was ordered; None if the balance has grown meanwhile and covers it."""
    # A new statement, because the one that met the conflict cannot see a row committed after it began.
    earlier = find_earlier(database, order.merchant_id, order.key)
    if earlier is not None:
        return earlier
    available_minor = payouts.available_minor(database, order.merchant_id, order.currency, payout.places)
    return Insufficient(available_minor, payout.places) if available_minor < order.amount_minor else None
