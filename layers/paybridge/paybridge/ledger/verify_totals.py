"""Compare the totals of each account with the sums of its transfers and of its days."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from paybridge.core.findings import Finding, finding_of
from paybridge.database.database import Database, Transaction
from paybridge.ledger.domain.accounts import account_name
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.store import verifying
from paybridge.ledger.store.verifying import AccountTotals, Sums

ACCOUNTS_PAGE = 50
# Transfers of each side of an account that the statement for its whole page sums. Others are summed in parts, each by a
# statement of a fraction of a second.
PAGE_TRANSFERS_MAX = 1000
PART_TRANSFERS = 100_000
# What a check that is not full looks at. The house's accounts are among the busiest. Of the days, today counts too.
BUSIEST_ACCOUNTS = 1000
NEWEST_FULL_DAYS = 1
# For how long it goes on to sum in parts, about twenty million transfers. A caller of the API waits for it.
NEWEST_SECONDS_MAX = 10.0


def check_totals(services: RebuildServices, full: bool, monotonic: Callable[[], float] = time.monotonic) -> Finding:
    """Check that the totals of every account are the sums of its transfers, and of its days.

    If not `full`, look at the busiest accounts of the live book, and of their transfers at those of the newest days.
    If they are too many for the time, and no fault was found, the finding neither holds nor fails.
    """
    ends_at = math.inf if full else monotonic() + NEWEST_SECONDS_MAX
    since = None if full else _newest_days(services.clock.now())
    checked, faults, busy = 0, [], []
    for account in _accounts(services.database, since):
        checked += 1
        faults += _faults(account, since)
        if account.moved is None:
            busy.append(account.id)
    unsummed = 0
    for number in busy:
        summed = _sum_in_parts(services.database, number, since, lambda: monotonic() >= ends_at)
        unsummed += summed is None
        faults += summed or []
    if faults or not unsummed:
        return finding_of(checked, faults)
    advice = "`paybridge verify --full --check balances` sums all"
    return Finding(None, checked, f"the transfers of {unsummed} accounts were not summed in time: {advice}")


def _newest_days(now: datetime) -> datetime:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=NEWEST_FULL_DAYS)


def _accounts(database: Database, since: datetime | None) -> Iterator[AccountTotals]:
    """Yield all accounts, or with `since` the busiest, each page at one moment."""
    for page in _all_pages(database) if since is None else _busiest_pages(database):
        yield from verifying.read_totals(database, page, since, PAGE_TRANSFERS_MAX)


def _all_pages(database: Database) -> Iterator[list[int]]:
    after = 0
    while page := verifying.next_accounts(database, after, ACCOUNTS_PAGE):
        yield page
        after = page[-1]


def _busiest_pages(database: Database) -> Iterator[list[int]]:
    busiest = verifying.busiest_accounts(database, BUSIEST_ACCOUNTS)
    for start in range(0, len(busiest), ACCOUNTS_PAGE):
        yield busiest[start : start + ACCOUNTS_PAGE]


def _sum_in_parts(
    database: Database, number: int, since: datetime | None, is_over: Callable[[], bool]
) -> list[str] | None:
    """Return what is wrong with the transfers of an account that has many; None if the time is over before that."""
    if is_over():
        return None
    # All parts and the days are of one moment. The account is gone if its book is being dropped.
    with database.snapshot() as transaction:
        for account in verifying.read_totals(transaction, [number], since, 0):
            debits = _sum_side(transaction, verifying.sum_debits, account, since, is_over)
            credited = _sum_side(transaction, verifying.sum_credits, account, since, is_over)
            if debits is None or credited is None:
                return None
            return _faults_of_transfers(account, (debits, credited), since)
    return []


def _sum_side(
    transaction: Transaction,
    sum_part: verifying.SumPart,
    account: AccountTotals,
    since: datetime | None,
    is_over: Callable[[], bool],
) -> int | None:
    total, after = 0, None if since is None else since - timedelta(microseconds=1)
    while not is_over():
        part = sum_part(transaction, account.id, after, PART_TRANSFERS)
        if part is None:
            return total
        total, after = total + part.minor, part.until
    return None


def _faults(account: AccountTotals, since: datetime | None) -> list[str]:
    found = []
    if account.counted != account.by_day:
        found.append(_fault(account, None, f"its totals {account.counted}", account.by_day))
    return found if account.moved is None else found + _faults_of_transfers(account, account.moved, since)


def _faults_of_transfers(account: AccountTotals, moved: Sums, since: datetime | None) -> list[str]:
    if moved == account.by_newest_day:
        return []
    return [_fault(account, since, f"its transfers {moved}", account.by_newest_day)]


def _fault(account: AccountTotals, since: datetime | None, sums: str, by_day: Sums) -> str:
    period = "in all" if since is None else f"since {since:%Y-%m-%d}"
    return f"book {account.book}, {account_name(account.key)}: (debits, credits) {period}: {sums}, its days {by_day}"
