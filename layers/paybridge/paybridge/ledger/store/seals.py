"""Seals: chained hashes over blocks of journals, in the order in which the journals became visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row
from paybridge.ledger.domain.seal import Block, Seal, SealedJournal, SealPosition

# Every book but one that is being built, which may be dropped, or one that is being dropped.
_ADD_HEADS = Statement("""
    INSERT INTO ledger.seal_heads (book, hash)
    SELECT id, sha256(convert_to('book ' || id, 'UTF8')) FROM ledger.books WHERE state IN ('live', 'retired')
    ON CONFLICT (book) DO NOTHING
""")

_FIND_BOOKS = Statement("""
    SELECT h.book FROM ledger.seal_heads h JOIN ledger.books b ON b.id = h.book
    WHERE b.state IN ('live', 'retired') ORDER BY h.book
""")

# One process at a time extends a chain.
_LOCK_HEAD = Statement("""
    SELECT number, last_xid::text, last_event_id, last_rule, hash FROM ledger.seal_heads
    WHERE book = :book::smallint FOR UPDATE SKIP LOCKED
""")
# One statement adds a seal and moves the head, so at any moment both have the same number.
_READ_HEAD = Statement("""
    SELECT h.number, h.last_xid::text, h.last_event_id, h.last_rule, h.hash,
           (SELECT s.number FROM ledger.seals s WHERE s.book = h.book ORDER BY s.number DESC LIMIT 1)
    FROM ledger.seal_heads h WHERE h.book = :book::smallint
""")

# What domain/seal.py hashes of a journal. Accounts have their names, because numbers say nothing.
_CONTENT = """
    chosen.xid::text, chosen.event_id, chosen.rule,
    uuid_send(chosen.event_id) || int2send(chosen.rule) || int2send(chosen.rule_version) || uuid_send(chosen.id)
        || uuid_send(chosen.owner) || coalesce(uuid_send(chosen.payment_id), ''::bytea) || '/'::bytea
        || coalesce(uuid_send(chosen.operation_id), ''::bytea) || '/'::bytea
        || coalesce(uuid_send(chosen.corrects), ''::bytea) || '/'::bytea
        || convert_to(coalesce(chosen.reason, ''), 'UTF8') || '/'::bytea
        || timestamptz_send(chosen.happened_at) || convert_to(chosen.currency, 'UTF8')
        || coalesce((
            SELECT string_agg(
                int2send(t.number) || convert_to(
                    concat_ws('/', coalesce(d.owner::text, 'house'), d.kind, d.currency, d.places,
                              coalesce(c.owner::text, 'house'), c.kind, c.currency, c.places), 'UTF8')
                || int8send(t.amount_minor), ''::bytea ORDER BY t.number)
            FROM ledger.transfers t
            JOIN ledger.accounts d ON d.id = t.debit_account
            JOIN ledger.accounts c ON c.id = t.credit_account
            WHERE t.book = chosen.book AND t.event_id = chosen.event_id AND t.rule = chosen.rule), ''::bytea)
"""

# Only what no transaction can come before any more, and only after a delay by the database's clock. `posted_at` is when
# the transaction began, and not in the order of xid, so a block ends before the first journal that is too new.
_READ_NEXT = Statement(f"""
    SELECT {_CONTENT} FROM (
        SELECT *, bool_and(posted_at < now() - make_interval(secs => :delay_seconds::double precision))
                  OVER (ORDER BY xid, event_id, rule) AS is_due
        FROM (
            SELECT * FROM ledger.journals
            WHERE book = :book::smallint AND rule_version > 0 AND xid >= :after_xid::xid8
              AND (xid, event_id, rule) > (:after_xid::xid8, :after_event::uuid, :after_rule::smallint)
              AND xid < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY xid, event_id, rule
            LIMIT :limit::integer
        ) AS next
    ) AS chosen WHERE chosen.is_due ORDER BY chosen.xid, chosen.event_id, chosen.rule
""")

# What lies between two seals: more than a block may have, if journals were added.
_READ_BETWEEN = Statement(f"""
    SELECT {_CONTENT} FROM (
        SELECT * FROM ledger.journals
        WHERE book = :book::smallint AND rule_version > 0 AND xid >= :after_xid::xid8 AND xid <= :until_xid::xid8
          AND (xid, event_id, rule) > (:after_xid::xid8, :after_event::uuid, :after_rule::smallint)
          AND (xid, event_id, rule) <= (:until_xid::xid8, :until_event::uuid, :until_rule::smallint)
        ORDER BY xid, event_id, rule
        LIMIT :limit::integer
    ) AS chosen ORDER BY chosen.xid, chosen.event_id, chosen.rule
""")

_ADD_SEAL = Statement("""
    WITH head AS (
        UPDATE ledger.seal_heads
        SET number = :number::bigint, last_xid = :last_xid::xid8, last_event_id = :last_event::uuid,
            last_rule = :last_rule::smallint, hash = decode(:hash::text, 'hex')
        WHERE book = :book::smallint
    )
    INSERT INTO ledger.seals (book, number, first_xid, first_event_id, first_rule, last_xid, last_event_id, last_rule,
                              journals, hash, previous_hash)
    VALUES (:book::smallint, :number::bigint, :first_xid::xid8, :first_event::uuid, :first_rule::smallint,
            :last_xid::xid8, :last_event::uuid, :last_rule::smallint, :journals::integer,
            decode(:hash::text, 'hex'), decode(:previous_hash::text, 'hex'))
""")

_READ_SEALS = Statement("""
    SELECT number, first_xid::text, first_event_id, first_rule, last_xid::text, last_event_id, last_rule, journals,
           hash, previous_hash
    FROM ledger.seals WHERE book = :book::smallint AND number > :after::bigint ORDER BY number LIMIT :limit::integer
""")

_COUNT_UNSEALED = Statement("""
    SELECT count(*), coalesce(extract(epoch FROM now() - min(posted_at)), 0)::float8 FROM (
        SELECT posted_at FROM ledger.journals
        WHERE book = :book::smallint AND rule_version > 0 AND xid >= :after_xid::xid8
          AND (xid, event_id, rule) > (:after_xid::xid8, :after_event::uuid, :after_rule::smallint)
        ORDER BY xid LIMIT :limit::integer
    ) AS unsealed
""")


class Unsealed(NamedTuple):
    """How many journals of a book are not sealed yet, up to a limit, and since how many seconds the oldest waits."""

    journals: int
    seconds: float


def add_heads(database: Database) -> None:
    """Begin a chain for every book that has none."""
    database.run(_ADD_HEADS)


def sealed_books(database: Database) -> list[int]:
    """Return the books that are sealed."""
    return [row[0] for row in database.run(_FIND_BOOKS)]


def lock_head(transaction: Transaction, book: int) -> Seal | None:
    """Lock the end of a book's chain; None if another process extends it."""
    rows = transaction.run(_LOCK_HEAD, book=book)
    return _head(rows[0]) if rows else None


def read_head(database: Database, book: int) -> tuple[Seal, int] | None:
    """Return the end of a book's chain and the number of its newest seal, 0 for none; None if it has no chain."""
    for *head, newest in database.run(_READ_HEAD, book=book):
        return _head(head), newest or 0
    return None


def read_next(
    transaction: Transaction, book: int, after: SealPosition, limit: int, delay_seconds: float
) -> list[SealedJournal]:
    """Return the next journals to seal. No other can come before or between them any more."""
    rows = transaction.run(_READ_NEXT, book=book, **_after(after), limit=limit, delay_seconds=delay_seconds)
    return _journals(rows)


def read_between(
    database: Database, book: int, after: SealPosition, until: SealPosition, limit: int
) -> list[SealedJournal]:
    """Return the journals after one position and until another."""
    parameters = {"until_xid": str(until.xid), "until_event": until.event_id, "until_rule": until.rule}
    return _journals(database.run(_READ_BETWEEN, book=book, **_after(after), **parameters, limit=limit))


def add(transaction: Transaction, book: int, block: Block, seal: Seal) -> None:
    """Add a seal at the end of the chain, whose head is locked."""
    transaction.run(
        _ADD_SEAL,
        book=book,
        number=seal.number,
        first_xid=str(block.first.xid),
        first_event=block.first.event_id,
        first_rule=block.first.rule,
        last_xid=str(seal.last.xid),
        last_event=seal.last.event_id,
        last_rule=seal.last.rule,
        journals=block.size,
        hash=seal.hash.hex(),
        previous_hash=seal.previous_hash.hex(),
    )


def read_seals(database: Database, book: int, after: int, limit: int) -> list[tuple[Block, Seal]]:
    """Return the seals of a book after number `after`, in their order, with what they say of their blocks."""
    return [_seal(row) for row in database.run(_READ_SEALS, book=book, after=after, limit=limit)]


def count_unsealed(database: Database, book: int, after: SealPosition, limit: int) -> Unsealed:
    """Return how many journals wait for a seal."""
    count, seconds = database.run(_COUNT_UNSEALED, book=book, **_after(after), limit=limit)[0]
    return Unsealed(count, seconds)


def _after(position: SealPosition) -> dict[str, object]:
    return {"after_xid": str(position.xid), "after_event": position.event_id, "after_rule": position.rule}


def _journals(rows: Sequence[Row]) -> list[SealedJournal]:
    return [SealedJournal(_position(row[:3]), row[3]) for row in rows]


def _position(row: Sequence[object]) -> SealPosition:
    xid, event_id, rule = row
    assert isinstance(event_id, UUID)
    return SealPosition(int(str(xid)), event_id, int(str(rule)))


def _head(row: Row) -> Seal:
    number, xid, event_id, rule, hash_ = row
    return Seal(number, SealPosition(int(xid), event_id, rule), hash_, b"")


def _seal(row: Row) -> tuple[Block, Seal]:
    number, *positions, journals, hash_, previous_hash = row
    block = Block(_position(positions[:3]), journals)
    return block, Seal(number, _position(positions[3:]), hash_, previous_hash)
