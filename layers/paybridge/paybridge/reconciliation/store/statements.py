"""The statements of gateways, and their lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.database.wire import Row
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import SIGNS, LineStatus, StatementLine
from paybridge.reconciliation.domain.comparison import DayLine

# What each kind does to the sum of a statement, for SQL.
_CASES = " ".join(f"WHEN '{kind}' THEN {sign}" for kind, sign in SIGNS.items())
_SIGN = f"CASE kind {_CASES} ELSE 0 END"
_LINE = "key, number, line_id, kind, amount_minor, currency, status, at, is_of_day, asked_at IS NOT NULL, is_named"

_FIND = Statement("""
    SELECT id, lines, has_holds FROM gateway_statements WHERE gateway = :gateway::text AND day = :day::date
""")

_IMPORTED = Statement("SELECT gateway FROM gateway_statements WHERE day = :day::date AND source = 'import'")

# The statement that it takes the place of leaves its lines, which are deleted later.
_REPLACE = Statement("""
    WITH earlier AS (
        SELECT id FROM gateway_statements WHERE gateway = :gateway::text AND day = :day::date
    ), left_over AS (
        INSERT INTO gateway_statement_leftovers (id) SELECT id FROM earlier ON CONFLICT DO NOTHING
    )
    INSERT INTO gateway_statements (gateway, day, id, source, has_holds, actor, created_at)
    VALUES (:gateway::text, :day::date, :id::uuid, :source::text, :has_holds::boolean, :actor::text,
            :now::timestamptz)
    ON CONFLICT (gateway, day) DO UPDATE
    SET id = excluded.id, source = excluded.source, has_holds = excluded.has_holds, actor = excluded.actor,
        created_at = excluded.created_at, lines = 0
""")

_ADD_LINES = Statement("""
    WITH added AS (
        INSERT INTO gateway_statement_lines (statement_id, key, number, line_id, kind, amount_minor, currency, status,
                                             at, is_of_day, is_named)
        SELECT :statement_id::uuid, key, number, line_id, kind, amount_minor, currency, status, at, is_of_day, is_named
        FROM json_to_recordset(:rows::json) AS row (key uuid, number integer, line_id text, kind text,
            amount_minor bigint, currency text, status text, at timestamptz, is_of_day boolean, is_named boolean)
    )
    UPDATE gateway_statements SET lines = lines + json_array_length(:rows::json) WHERE id = :statement_id::uuid
""")

_READ = Statement(f"""
    SELECT {_LINE} FROM gateway_statement_lines
    WHERE statement_id = :statement_id::uuid
      AND (statement_id, key, number) > (:statement_id::uuid, :key::uuid, :number::integer)
    ORDER BY statement_id, key, number LIMIT :limit::integer
""")

# These statements look lines up one at a time. With an array, a plan cached while the table was empty would scan whole
# statements.
_READ_KEYS = Statement(f"""
    SELECT {_LINE} FROM unnest(:keys::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT * FROM gateway_statement_lines l
        WHERE l.statement_id = :statement_id::uuid AND l.key = wanted.id OFFSET 0
    ) AS found
""")

# What was pending for days is on the statement of the day on which it began, and is compared there. Lines within a
# grace window are compared nowhere. A refund and its reversal have one key, and a declined refund stands for both.
_ON_OTHER_DAYS = Statement("""
    WITH others AS MATERIALIZED (
        SELECT id, day FROM gateway_statements
        WHERE gateway = :gateway::text AND day >= :first_day::date AND id <> :statement_id::uuid
    )
    SELECT wanted.key, wanted.is_reversal
    FROM json_to_recordset(:rows::json) AS wanted (key uuid, is_reversal boolean, since date)
    WHERE EXISTS (
        SELECT FROM others s CROSS JOIN LATERAL (
            SELECT l.kind, l.status FROM gateway_statement_lines l
            WHERE l.statement_id = s.id AND l.key = wanted.key AND l.is_of_day OFFSET 0
        ) AS found
        WHERE s.day >= wanted.since
          AND ((found.kind = 'refund_reversal') = wanted.is_reversal OR found.status = 'declined'))
""")

_WITHOUT_LINES = Statement("""
    SELECT wanted.id FROM unnest(:keys::uuid[]) AS wanted (id)
    WHERE NOT EXISTS (
        SELECT FROM gateway_statement_lines l WHERE l.statement_id = :statement_id::uuid AND l.key = wanted.id)
""")

# Of refunds only: what we recorded late has the gateway's id and no operation id that a line names.
_REFUNDS_ON_OTHER_DAYS = Statement("""
    WITH others AS MATERIALIZED (
        SELECT id FROM gateway_statements
        WHERE gateway = :gateway::text AND day >= :first_day::date AND id <> :statement_id::uuid
    )
    SELECT found.line_id, found.key
    FROM others s CROSS JOIN json_array_elements_text(:line_ids::json) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT l.line_id, l.key FROM gateway_statement_lines l
        WHERE l.statement_id = s.id AND l.line_id = wanted.id AND l.kind = 'refund' AND l.is_of_day OFFSET 0
    ) AS found
""")

_READ_IDS = Statement(f"""
    SELECT {_LINE} FROM json_array_elements_text(:line_ids::json) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT * FROM gateway_statement_lines l
        WHERE l.statement_id = :statement_id::uuid AND l.line_id = wanted.id OFFSET 0
    ) AS found
""")

# Every line conflicts, with itself, and is so found by its key.
_WAIT = Statement("""
    INSERT INTO gateway_statement_lines
    SELECT found.* FROM json_to_recordset(:rows::json) AS wanted (key uuid, kind text)
    CROSS JOIN LATERAL (
        SELECT * FROM gateway_statement_lines l
        WHERE l.statement_id = :statement_id::uuid AND l.key = wanted.key AND l.kind = wanted.kind OFFSET 0
    ) AS found
    ON CONFLICT (statement_id, key, number) DO UPDATE SET asked_at = :now::timestamptz, is_waiting = true
""")

# An operation may have several lines that wait. They count as one, or a page of fewer would look like the last.
_WAITING = Statement("""
    SELECT key, min(asked_at) FROM gateway_statement_lines
    WHERE statement_id = :statement_id::uuid AND key > :key::uuid AND is_waiting
    GROUP BY statement_id, key ORDER BY statement_id, key LIMIT :limit::integer
""")

_WAIT_NO_MORE = Statement("""
    UPDATE gateway_statement_lines l SET is_waiting = false
    FROM unnest(:keys::uuid[]) AS wanted (id)
    WHERE l.statement_id = :statement_id::uuid AND l.key = wanted.id AND l.is_waiting
""")

# Few lines were asked about, and no index knows them, so the statement is read once in parts.
_FORGET_ASKED = Statement("""
    WITH part AS MATERIALIZED (
        SELECT key, number, asked_at FROM gateway_statement_lines
        WHERE statement_id = :statement_id::uuid
          AND (statement_id, key, number) > (:statement_id::uuid, :key::uuid, :number::integer)
        ORDER BY statement_id, key, number LIMIT :limit::integer
    ), freed AS (
        UPDATE gateway_statement_lines l SET asked_at = NULL, is_waiting = false
        FROM (SELECT key, number FROM part WHERE asked_at IS NOT NULL) AS asked
        WHERE l.statement_id = :statement_id::uuid AND l.key = asked.key AND l.number = asked.number
    )
    SELECT key, number FROM part ORDER BY key DESC, number DESC LIMIT 1
""")

# Added up without the code that compares, which must come to the same.
_SUM = Statement(f"""
    SELECT currency, sum({_SIGN} * amount_minor)::text
    FROM gateway_statement_lines l JOIN gateway_statements s ON s.id = l.statement_id
    WHERE s.day = :day::date AND s.gateway = ANY (:gateways::text[]) AND l.is_of_day AND l.status = 'succeeded'
    GROUP BY currency
""")

# A day may be compared long after it was. What was read for that stays as long as any other.
_LEAVE_OLD = Statement("""
    WITH old AS (
        DELETE FROM gateway_statements
        WHERE day < (:before::timestamptz AT TIME ZONE 'UTC')::date AND created_at < :before::timestamptz
          AND source = 'gateway'
        RETURNING id
    )
    INSERT INTO gateway_statement_leftovers (id) SELECT id FROM old ON CONFLICT DO NOTHING
""")

_LEFTOVER = Statement("SELECT id FROM gateway_statement_leftovers ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")

_DELETE_LINES = Statement("""
    DELETE FROM gateway_statement_lines l USING (
        SELECT key, number FROM gateway_statement_lines WHERE statement_id = :id::uuid LIMIT :limit::integer) AS part
    WHERE l.statement_id = :id::uuid AND l.key = part.key AND l.number = part.number
    RETURNING l.number
""")

_DELETE_LEFTOVER = Statement("DELETE FROM gateway_statement_leftovers WHERE id = :id::uuid")


# What lines are sorted under that name no operation: the gateway's own id, made a UUID.
_NAMELESS = UUID("6f1b7c1e-4f6e-4f0e-9d2a-2b8a1f0c5d3e")


class StoredStatement(NamedTuple):
    """The statement of a gateway for a day, and how many lines were stored."""

    id: UUID
    lines: int
    has_holds: bool


class NewStatement(NamedTuple):
    """A statement that begins: `source` is gateway or import, and `actor` who wanted it."""

    id: UUID
    gateway: str
    day: date
    source: str
    has_holds: bool
    actor: str
    now: datetime


class GatewayAction(NamedTuple):
    """What lines and operations are about: an operation by its key, or the reversal of the refund of this key."""

    key: UUID
    is_reversal: bool


class StoredLine(NamedTuple):
    """A line of a statement and its place: the operation that it names, and its number."""

    key: UUID
    number: int
    line: DayLine


def key_of(line: StatementLine) -> UUID:
    """Return what a line is sorted and grouped under: the operation that it names, else its own id."""
    return line.operation_id or uuid5(_NAMELESS, line.id)


def find(transaction: Transaction, gateway: str, day: date) -> StoredStatement | None:
    """Return the statement of the gateway for the day, None if there is none."""
    rows = transaction.run(_FIND, gateway=gateway, day=day.isoformat())
    return StoredStatement(*rows[0]) if rows else None


def replace(transaction: Transaction, statement: NewStatement) -> None:
    """Begin a statement without lines, in place of the gateway's one for the day."""
    transaction.run(_REPLACE, **{**statement._asdict(), "day": statement.day.isoformat()})


def add_lines(
    transaction: Transaction, statement_id: UUID, lines: Sequence[StatementLine], first_number: int, day: date
) -> None:
    """Add lines, numbered from `first_number` on. Those of another day are of the grace window."""
    rows = [
        {
            "key": key_of(line),
            "number": number,
            "line_id": line.id,
            "kind": line.kind,
            "amount_minor": line.amount_minor,
            "currency": line.currency,
            "status": line.status,
            "at": line.at,
            "is_of_day": line.at.date() == day,
            "is_named": line.operation_id is not None,
        }
        for number, line in enumerate(lines, first_number)
    ]
    if rows:
        transaction.run(_ADD_LINES, statement_id=statement_id, rows=json_rows(rows))


def read(transaction: Transaction, statement_id: UUID, key: UUID, number: int, limit: int) -> list[StoredLine]:
    """Return up to `limit` lines after that place, by the operations that they name."""
    rows = transaction.run(_READ, statement_id=statement_id, key=key, number=number, limit=limit)
    return [_from_row(row) for row in rows]


def read_keys(transaction: Transaction, statement_id: UUID, keys: Iterable[UUID]) -> list[StoredLine]:
    """Return the lines that name one of the operations."""
    return [_from_row(row) for row in transaction.run(_READ_KEYS, statement_id=statement_id, keys=uuid_array(keys))]


def read_ids(transaction: Transaction, statement_id: UUID, line_ids: Iterable[str]) -> list[StoredLine]:
    """Return the lines with one of the gateway's ids."""
    found = transaction.run(_READ_IDS, statement_id=statement_id, line_ids=json_rows(line_ids))
    return [_from_row(row) for row in found]


def without_lines(transaction: Transaction, statement_id: UUID, ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the operations that no line names."""
    return [row[0] for row in transaction.run(_WITHOUT_LINES, statement_id=statement_id, keys=uuid_array(ids))]


def on_other_days(
    transaction: Transaction, gateway: str, statement_id: UUID, actions: Mapping[GatewayAction, date]
) -> set[GatewayAction]:
    """Return those of the gateway actions that are compared on another day, each from its given day on."""
    if not actions:
        return set()
    rows = [{**action._asdict(), "since": since.isoformat()} for action, since in actions.items()]
    found = transaction.run(
        _ON_OTHER_DAYS,
        gateway=gateway,
        statement_id=statement_id,
        first_day=min(actions.values()).isoformat(),
        rows=json_rows(rows),
    )
    return {GatewayAction(*row) for row in found}


def refunds_on_other_days(
    transaction: Transaction, gateway: str, statement_id: UUID, first_day: date, line_ids: Iterable[str]
) -> dict[str, UUID]:
    """Return the refunds of these ids of the gateway on its statements of other days, with the keys of their lines."""
    found = transaction.run(
        _REFUNDS_ON_OTHER_DAYS,
        gateway=gateway,
        statement_id=statement_id,
        first_day=first_day.isoformat(),
        line_ids=json_rows(line_ids),
    )
    return {line_id: key for line_id, key in found}  # noqa: C416 -- rows are lists to the type checker.


def wait(transaction: Transaction, statement_id: UUID, kinds: Mapping[UUID, Collection[Kind]], now: datetime) -> None:
    """Record that the gateway was asked about these operations, and that their lines of these kinds wait."""
    rows = [{"key": key, "kind": kind} for key, of_key in kinds.items() for kind in sorted(of_key)]
    if rows:
        transaction.run(_WAIT, statement_id=statement_id, rows=json_rows(rows), now=now)


def waiting(transaction: Transaction, statement_id: UUID, after: UUID, limit: int) -> dict[UUID, datetime]:
    """Return up to `limit` operations above an id whose lines wait, and since when."""
    rows = transaction.run(_WAITING, statement_id=statement_id, key=after, limit=limit)
    return {key: asked_at for key, asked_at in rows}  # noqa: C416 -- rows are lists to the type checker.


def wait_no_more(transaction: Transaction, statement_id: UUID, keys: Iterable[UUID]) -> None:
    """Record that the lines of these operations were compared."""
    transaction.run(_WAIT_NO_MORE, statement_id=statement_id, keys=uuid_array(keys))


def forget_asked(
    transaction: Transaction, statement_id: UUID, key: UUID, number: int, limit: int
) -> tuple[UUID, int] | None:
    """Forget that the gateway was asked about any of the `limit` lines after that place.

    Return the place of the last one, None if there is no line after it.
    """
    rows = transaction.run(_FORGET_ASKED, statement_id=statement_id, key=key, number=number, limit=limit)
    return (rows[0][0], rows[0][1]) if rows else None


def sums(transaction: Transaction, day: date, gateways: Iterable[str]) -> dict[str, int]:
    """Return per currency what all lines of the day at these gateways add up to, as the database adds them."""
    rows = transaction.run(_SUM, day=day.isoformat(), gateways="{" + ",".join(gateways) + "}")
    return {currency: int(text) for currency, text in rows}


def gateways_of(database: Database | Transaction, day: date) -> set[str]:
    """Return the gateways whose statement for the day was imported."""
    return {row[0] for row in database.run(_IMPORTED, day=day.isoformat())}


def leave_old(database: Database, before: datetime) -> None:
    """Forget the statements that were read before that moment, but for imported ones."""
    database.run(_LEAVE_OLD, before=before)


def delete_leftovers(transaction: Transaction, limit: int) -> int:
    """Delete up to `limit` lines of statements that others have taken the place of; return how many."""
    rows = transaction.run(_LEFTOVER)
    if not rows:
        return 0
    deleted = len(transaction.run(_DELETE_LINES, id=rows[0][0], limit=limit))
    if deleted < limit:
        transaction.run(_DELETE_LEFTOVER, id=rows[0][0])
    return deleted


def _from_row(row: Row) -> StoredLine:
    key, number, line_id, kind, amount_minor, currency, status, at, is_of_day, was_asked, is_named = row
    line = StatementLine(
        id=line_id,
        operation_id=key if is_named else None,
        kind=Kind(kind),
        amount_minor=amount_minor,
        currency=currency,
        status=LineStatus(status),
        at=at,
    )
    return StoredLine(key, number, DayLine(line=line, is_of_day=is_of_day, was_asked=was_asked))
