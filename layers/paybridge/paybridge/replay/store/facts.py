"""Read facts of the event log in the order of their ids, a bounded part at a time."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.outbox.routes import EVENTS_EXCHANGE
from paybridge.replay.domain import Fact, Replay, SliceRead

# Rows that one slice reads at most, those of other types included, so that it takes milliseconds.
SCANNED_ROWS_MAX = 2_000
# Bodies that one slice holds at most, beyond the first.
BYTES_MAX = 8 * 1024 * 1024

# Only rows of the topic exchange are events that consumers get. The running sums end the slice after enough of them.
_READ = Statement(f"""
    WITH scanned AS MATERIALIZED (
        SELECT o.id, o.type, o.correlation_id, o.body,
               o.exchange = '{EVENTS_EXCHANGE}' AND o.sequence IS NOT NULL
               AND o.created_at >= :begin_at::timestamptz AND o.created_at < :end_at::timestamptz
               AND o.type ~ :taken::text AND o.type ~ :chosen::text AS is_wanted
        FROM outbox o
        WHERE o.id > :position::uuid AND o.id < :last_id::uuid
        ORDER BY o.id
        LIMIT :scanned_max::integer
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE is_wanted) OVER running AS number,
               sum(octet_length(body)) FILTER (WHERE is_wanted) OVER running AS bytes,
               count(*) OVER () AS scanned, row_number() OVER running AS place
        FROM scanned
        WINDOW running AS (ORDER BY id ROWS UNBOUNDED PRECEDING)
    )
    SELECT id, is_wanted, type, correlation_id, CASE WHEN is_wanted THEN body END,
           place = scanned AND scanned < :scanned_max::integer
    FROM numbered
    WHERE number <= :wanted_max::integer AND (number <= 1 OR bytes <= :bytes_max::bigint)
    ORDER BY id
""")

_ARE_OVER = Statement("SELECT pg_snapshot_xmin(pg_current_snapshot()) >= :horizon::xid8")


def are_over(transaction: Transaction, horizon: str) -> bool:
    """Return whether every transaction that began before the one with this number has ended."""
    over: bool = transaction.run(_ARE_OVER, horizon=horizon)[0][0]
    return over


def read(transaction: Transaction, replay: Replay, taken: str, chosen: str, wanted_max: int) -> SliceRead:
    """Return the next facts of the replay with types that match both expressions, at most `wanted_max`."""
    rows = transaction.run(
        _READ,
        begin_at=replay.begin_at,
        end_at=replay.end_at,
        taken=taken,
        chosen=chosen,
        position=replay.position,
        last_id=replay.last_id,
        scanned_max=SCANNED_ROWS_MAX,
        wanted_max=wanted_max,
        bytes_max=BYTES_MAX,
    )
    facts = [
        Fact(id_, type_, correlation_id, body) for id_, is_wanted, type_, correlation_id, body, _ in rows if is_wanted
    ]
    position: UUID = rows[-1][0] if rows else replay.position
    return SliceRead(facts, position, is_last=not rows or bool(rows[-1][5]))
