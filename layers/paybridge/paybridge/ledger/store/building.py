"""Write journals into a book that is being built. It has one writer and no readers, and gets each event once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.ledger.domain.accounts import AccountKey
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.store import accounts

# Arrays are parsed in a fraction of the time that JSON takes, and the sums are made where the journals are. A transfer
# names its journal by the place in the arrays of journals, where elements of equal length are found at once. A journal
# that is there already breaks the primary key.
_POST = Statement("""
    WITH new AS (
        INSERT INTO ledger.journals (book, event_id, rule, rule_version, id, owner, payment_id, operation_id,
                                     happened_at, currency)
        SELECT :book::smallint, j.*
        FROM unnest(:event_ids::uuid[], :rules::smallint[], :rule_versions::smallint[], :ids::uuid[], :owners::uuid[],
                    :payment_ids::uuid[], :operation_ids::uuid[], :times::timestamptz[], :currencies::text[]) AS j
    ),
    moved AS (
        INSERT INTO ledger.transfers (book, event_id, rule, number, places, debit_account, credit_account, amount_minor,
                                      happened_at, currency)
        SELECT :book::smallint, (:event_ids::uuid[])[journal], (:rules::smallint[])[journal], number, places, debit,
               credit, amount, (:times::timestamptz[])[journal], currency
        FROM unnest(:journals::integer[], :numbers::smallint[], :places::smallint[], :debit_accounts::bigint[],
                    :credit_accounts::bigint[], :amounts::bigint[], :moved_currencies::text[])
             AS t (journal, number, places, debit, credit, amount, currency)
    ),
    changed AS (
        UPDATE ledger.accounts a
        SET debits_minor = a.debits_minor + total.debits, credits_minor = a.credits_minor + total.credits,
            version = a.version + 1
        FROM unnest(:accounts::bigint[], :debits::numeric[], :credits::numeric[]) AS total (account, debits, credits)
        WHERE a.id = total.account
    )
    INSERT INTO ledger.daily_totals AS d (account, day, debits_minor, credits_minor)
    SELECT * FROM unnest(:day_accounts::bigint[], :days::date[], :day_debits::numeric[], :day_credits::numeric[])
    ON CONFLICT (account, day) DO UPDATE
    SET debits_minor = d.debits_minor + excluded.debits_minor,
        credits_minor = d.credits_minor + excluded.credits_minor
""")


class _Moved(NamedTuple):
    """One transfer, with the number of its journal, from 1."""

    journal: int
    number: int
    places: int
    debit: int
    credit: int
    amount_minor: int
    currency: str


def post(transaction: Transaction, book: int, journals: Sequence[Journal]) -> None:
    """Write the journals, of which the book has none. Raises ConstraintViolated if it has one.

    The order of their events makes the indexes grow at one place.
    """
    if not journals:
        return
    ordered = sorted(journals, key=lambda each: (each.event_id.int, each.rule))
    keys = {key for journal in ordered for debit, credit, _ in journal.transfers for key in (debit, credit)}
    ids = accounts.ensure(transaction, book, keys)
    moved = _moved(ordered, ids)
    transaction.run(
        _POST,
        book=book,
        **_of_journals(ordered),
        **{
            name: _array(column)
            for name, column in zip(
                ("journals", "numbers", "places", "debit_accounts", "credit_accounts", "amounts", "moved_currencies"),
                zip(*moved, strict=True),
                strict=True,
            )
        },
        **_totals(ordered, moved),
    )


def _moved(journals: Sequence[Journal], ids: dict[AccountKey, int]) -> list[_Moved]:
    return [
        _Moved(place, number, debit.places, ids[debit], ids[credit], amount_minor, journal.currency)
        for place, journal in enumerate(journals, 1)
        for number, (debit, credit, amount_minor) in enumerate(journal.transfers, 1)
    ]


def _of_journals(journals: Sequence[Journal]) -> dict[str, str]:
    return {
        "event_ids": _uuids(each.event_id for each in journals),
        "rules": _array(each.rule for each in journals),
        "rule_versions": _array(each.rule_version for each in journals),
        "ids": _uuids(each.id for each in journals),
        "owners": _uuids(each.owner for each in journals),
        "payment_ids": _uuids(each.payment_id for each in journals),
        "operation_ids": _uuids(each.operation_id for each in journals),
        "times": _array(each.happened_at.isoformat() for each in journals),
        "currencies": _array(each.currency for each in journals),
    }


def _totals(journals: Sequence[Journal], moved: Iterable[_Moved]) -> dict[str, str]:
    """Return what each account moves, in all and on each day, as the columns of the statement."""
    days = [each.happened_at.astimezone(UTC).date() for each in journals]
    by_account: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    by_day: defaultdict[tuple[int, date], list[int]] = defaultdict(lambda: [0, 0])
    for journal, _, _, debit, credit, amount_minor, _ in moved:
        for side, account in enumerate((debit, credit)):
            by_account[account][side] += amount_minor
            by_day[account, days[journal - 1]][side] += amount_minor
    ordered = sorted(by_day.items())
    return {
        "accounts": _array(by_account),
        "debits": _array(debits for debits, _ in by_account.values()),
        "credits": _array(credits_ for _, credits_ in by_account.values()),
        "day_accounts": _array(account for (account, _), _ in ordered),
        "days": _array(day for (_, day), _ in ordered),
        "day_debits": _array(debits for _, (debits, _) in ordered),
        "day_credits": _array(credits_ for _, (_, credits_) in ordered),
    }


def _array(values: Iterable[object]) -> str:
    """Return PostgreSQL's text of an array whose elements need no quotes."""
    return "{" + ",".join(map(str, values)) + "}"


def _uuids(ids: Iterable[UUID | None]) -> str:
    return "{" + ",".join(["NULL" if id_ is None else f"{id_.int:032x}" for id_ in ids]) + "}"
