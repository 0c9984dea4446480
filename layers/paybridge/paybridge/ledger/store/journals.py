"""Write journals with their transfers, and add them to the totals of their accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.ledger.domain.accounts import AccountKey
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.store import accounts

# One statement for a whole batch. A journal that is there already brings no transfers and changes no total. Journals
# and accounts are locked in the order of their ids, so that two batches never wait for each other. `IS TRUE` keeps the
# look-up of new journals a hash, where a join would compare each of them with each transfer.
_POST = Statement("""
    WITH new AS (
        INSERT INTO ledger.journals (book, event_id, rule, rule_version, id, owner, payment_id, operation_id,
                                     happened_at, currency, corrects, reason)
        SELECT :book::smallint, event_id, rule, rule_version, id, owner, payment_id, operation_id, happened_at,
               currency, corrects, reason
        FROM json_to_recordset(:journals::json) AS j (event_id uuid, rule smallint, rule_version smallint, id uuid,
            owner uuid, payment_id uuid, operation_id uuid, happened_at timestamptz, currency text, corrects uuid,
            reason text)
        ORDER BY event_id, rule
        ON CONFLICT DO NOTHING
        RETURNING event_id, rule
    ),
    moved AS (
        INSERT INTO ledger.transfers (book, event_id, rule, number, places, debit_account, credit_account, amount_minor,
                                      happened_at, currency)
        SELECT :book::smallint, event_id, rule, number, places, debit, credit, amount, happened_at, currency
        FROM json_to_recordset(:transfers::json) AS t (event_id uuid, rule smallint, number smallint, places smallint,
            debit bigint, credit bigint, amount bigint, happened_at timestamptz, currency text)
        WHERE ((event_id, rule) IN (SELECT event_id, rule FROM new)) IS TRUE
        RETURNING debit_account, credit_account, amount_minor, (happened_at AT TIME ZONE 'UTC')::date AS day
    ),
    sums AS MATERIALIZED (
        SELECT account, day, sum(debit) AS debits, sum(credit) AS credits
        FROM moved, LATERAL (VALUES (debit_account, amount_minor, 0), (credit_account, 0, amount_minor))
                    AS side (account, debit, credit)
        GROUP BY account, day
    ),
    locked AS MATERIALIZED (
        SELECT sums.* FROM sums JOIN ledger.accounts a ON a.id = sums.account ORDER BY a.id FOR NO KEY UPDATE OF a
    ),
    changed AS (
        UPDATE ledger.accounts a
        SET debits_minor = a.debits_minor + total.debits, credits_minor = a.credits_minor + total.credits,
            version = a.version + 1
        FROM (SELECT account, sum(debits) AS debits, sum(credits) AS credits FROM locked GROUP BY account) AS total
        WHERE a.id = total.account
    ),
    days AS (
        INSERT INTO ledger.daily_totals AS d (account, day, debits_minor, credits_minor)
        SELECT account, day, debits, credits FROM locked ORDER BY account, day
        ON CONFLICT (account, day) DO UPDATE
        SET debits_minor = d.debits_minor + excluded.debits_minor,
            credits_minor = d.credits_minor + excluded.credits_minor
    )
    SELECT event_id, rule FROM new
""")

# One look-up for each key: a session that planned NOT EXISTS while the table was empty would read every month.
_FIND_MISSING = Statement("""
    SELECT event_id FROM json_to_recordset(:keys::json) AS k (event_id uuid, rule smallint)
    WHERE (
        SELECT true FROM ledger.journals j
        WHERE j.book = (SELECT id FROM ledger.books WHERE state = 'live')
          AND j.event_id = k.event_id AND j.rule = k.rule
    ) IS NULL
""")


def post(transaction: Transaction, book: int, journals: Sequence[Journal]) -> set[tuple[UUID, int]]:
    """Write the journals that the book does not have yet, and return their events and rules.

    Raises LockTimeout, also if it had to give way to another transaction. Nothing of the batch is written then.
    """
    if not journals:
        return set()
    journals = [*{(each.event_id, each.rule): each for each in journals}.values()]
    keys = {key for journal in journals for debit, credit, _ in journal.transfers for key in (debit, credit)}
    ids = accounts.ensure(transaction, book, keys)
    rows = transaction.run(
        _POST,
        book=book,
        journals=json_rows(map(_journal_row, journals)),
        transfers=json_rows(row for journal in journals for row in _transfer_rows(journal, ids)),
    )
    return {(event_id, rule) for event_id, rule in rows}


def find_missing(transaction: Transaction, journals: Sequence[Journal]) -> set[UUID]:
    """Return the events of those journals that the live book does not have."""
    keys = json_rows({"event_id": each.event_id, "rule": each.rule} for each in journals)
    return {event_id for (event_id,) in transaction.run(_FIND_MISSING, keys=keys)}


def _journal_row(journal: Journal) -> Mapping[str, object]:
    return {
        "event_id": journal.event_id,
        "rule": journal.rule,
        "rule_version": journal.rule_version,
        "id": journal.id,
        "owner": journal.owner,
        "payment_id": journal.payment_id,
        "operation_id": journal.operation_id,
        "happened_at": journal.happened_at,
        "currency": journal.currency,
        "corrects": journal.corrects,
        "reason": journal.reason,
    }


def _transfer_rows(journal: Journal, ids: Mapping[AccountKey, int]) -> list[Mapping[str, object]]:
    return [
        {
            "event_id": journal.event_id,
            "rule": journal.rule,
            "number": number,
            "places": transfer.debit.places,
            "debit": ids[transfer.debit],
            "credit": ids[transfer.credit],
            "amount": transfer.amount_minor,
            "happened_at": journal.happened_at,
            "currency": journal.currency,
        }
        for number, transfer in enumerate(journal.transfers, 1)
    ]
