"""Corrections of one book that belong into another: no event makes them."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from paybridge.database.database import Statement, Transaction
from paybridge.database.wire import Row
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.journals import Journal, Transfer

# What a journal moves, as an array to compare. Debit and credit are given the other way round for a correction.
_TRANSFERS = """
    SELECT array_agg((t.number, t.amount_minor, {debit}.owner, {debit}.kind, {debit}.currency, {debit}.places,
                      {credit}.owner, {credit}.kind, {credit}.currency, {credit}.places) ORDER BY t.number)
    FROM ledger.transfers t
    JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
    WHERE t.book = {book} AND t.event_id = j.event_id AND t.rule = {rule}
"""

# Rules below zero are those of corrections. One stays behind unless it takes back exactly what the other book has: the
# id of a journal says by which rule it was posted, and not what it moved.
_FIND = Statement(f"""
    SELECT chosen.event_id, chosen.rule, chosen.rule_version, chosen.id, chosen.owner, chosen.payment_id,
           chosen.operation_id, chosen.currency, chosen.happened_at, chosen.corrects, chosen.reason,
           d.owner, d.kind, d.currency, d.places, c.owner, c.kind, c.currency, c.places, t.amount_minor
    FROM (
        SELECT * FROM ledger.journals j
        WHERE j.book = :live::smallint AND j.rule < 0
          AND NOT EXISTS (SELECT FROM ledger.journals n
                          WHERE n.book = :rebuilt::smallint AND n.event_id = j.event_id AND n.rule = j.rule)
          AND EXISTS (SELECT FROM ledger.journals n
                      WHERE n.book = :rebuilt::smallint AND n.event_id = j.event_id AND n.id = j.corrects)
          AND ({_TRANSFERS.format(book=":live::smallint", rule="j.rule", debit="c", credit="d")})
              = ({_TRANSFERS.format(book=":rebuilt::smallint", rule="-j.rule", debit="d", credit="c")})
        ORDER BY j.event_id LIMIT :limit::integer
    ) AS chosen
    JOIN ledger.transfers t
        ON (t.book, t.event_id, t.rule) = (:live::smallint, chosen.event_id, chosen.rule)
    JOIN ledger.accounts d ON d.id = t.debit_account
    JOIN ledger.accounts c ON c.id = t.credit_account
    ORDER BY chosen.event_id, chosen.rule, t.number
""")


def find_left_behind(transaction: Transaction, live_book: int, rebuilt_book: int, limit: int) -> list[Journal]:
    """Return corrections of the live book that the rebuilt one lacks, of journals that it has with equal transfers."""
    rows = transaction.run(_FIND, live=live_book, rebuilt=rebuilt_book, limit=limit)
    return [_journal([*of_one]) for _, of_one in groupby(rows, key=itemgetter(0, 1))]


def _journal(rows: list[Row]) -> Journal:
    event_id, rule, version, id_, owner, payment_id, operation_id, currency, happened_at, corrects, reason = rows[0][
        :11
    ]
    return Journal(
        event_id=event_id,
        rule=rule,
        rule_version=version,
        id=id_,
        owner=owner,
        payment_id=payment_id,
        operation_id=operation_id,
        currency=currency,
        happened_at=happened_at,
        corrects=corrects,
        reason=reason,
        transfers=tuple(Transfer(_account(row[11:15]), _account(row[15:19]), row[19]) for row in rows),
    )


def _account(row: Row) -> AccountKey:
    owner, kind, currency, places = row
    return AccountKey(owner, AccountKind(kind), currency, places)
