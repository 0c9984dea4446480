"""The counters of velocities: locked in the order of their keys, read once locked, and written with their points."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.fraud.domain.counting import Key, Look, Point, Sums, Tally

# A new key is written with what this batch counts. One that exists is locked and left as it is: the condition is false,
# so it is not among the rows returned. Two batches insert and lock in the same order, and never deadlock.
_LOCK = Statement("""
    INSERT INTO fraud_counters AS counter (owner_id, digest, count, sums, last_at, kept_until)
    SELECT owner_id, digest, count, sums, last_at, kept_until
    FROM json_to_recordset(:rows::json) AS row (owner_id uuid, digest uuid, count bigint, sums json,
        last_at timestamptz, kept_until timestamptz)
    ORDER BY owner_id, digest
    ON CONFLICT (owner_id, digest) DO UPDATE SET count = counter.count WHERE false
    RETURNING owner_id::text, digest::text
""")

# A statement after the lock, so that it sees what the batch before has committed. The limit is the number of rows, and
# makes PostgreSQL look up each by its key.
_READ = Statement("""
    WITH wanted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (place integer, owner_id uuid, digest uuid, at timestamptz,
            window_seconds integer)
        LIMIT :length::integer
    )
    SELECT wanted.place, counter.count, counter.sums::text, counter.last_at, point.at, point.count_before,
           point.sums_before::text
    FROM wanted
    JOIN fraud_counters counter ON counter.owner_id = wanted.owner_id AND counter.digest = wanted.digest
    LEFT JOIN LATERAL (
        SELECT at, count_before, sums_before FROM fraud_counter_points p
        WHERE p.owner_id = wanted.owner_id AND p.digest = wanted.digest
          AND p.at > greatest(wanted.at, counter.last_at) - make_interval(secs => wanted.window_seconds)
        ORDER BY p.owner_id, p.digest, p.at
        LIMIT 1
    ) AS point ON true
""")

_WRITE = Statement("""
    WITH counted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:counters::json) AS row (owner_id uuid, digest uuid, count bigint, sums json,
            last_at timestamptz, kept_until timestamptz)
        LIMIT :length::integer
    ), counters AS (
        UPDATE fraud_counters counter
        SET count = counted.count, sums = counted.sums, last_at = counted.last_at,
            kept_until = greatest(counter.kept_until, counted.kept_until)
        FROM counted WHERE counter.owner_id = counted.owner_id AND counter.digest = counted.digest
    )
    INSERT INTO fraud_counter_points (owner_id, digest, at, count_before, sums_before, kept_until)
    SELECT * FROM json_to_recordset(:points::json) AS row (owner_id uuid, digest uuid, at timestamptz,
        count_before bigint, sums_before json, kept_until timestamptz)
    -- Two batches may count at the same moment. The point of the first says what the counter was before it.
    ON CONFLICT (owner_id, digest, at) DO NOTHING
""")

# The last point of a counter goes with the counter. One that a batch counts with at the moment is locked, and by then
# kept for longer.
_DELETE_OLD = Statement("""
    WITH old AS MATERIALIZED (
        SELECT owner_id, digest, at FROM fraud_counter_points WHERE kept_until < :now::timestamptz
        ORDER BY kept_until LIMIT :limit::integer FOR UPDATE SKIP LOCKED
    ), points AS (
        DELETE FROM fraud_counter_points point USING old
        WHERE point.owner_id = old.owner_id AND point.digest = old.digest AND point.at = old.at
        RETURNING point.owner_id, point.digest
    ), unused AS MATERIALIZED (
        SELECT counter.owner_id, counter.digest FROM fraud_counters counter
        JOIN (SELECT DISTINCT owner_id, digest FROM points) AS of_points USING (owner_id, digest)
        WHERE counter.kept_until < :now::timestamptz
        ORDER BY counter.owner_id, counter.digest FOR UPDATE OF counter SKIP LOCKED
    ), counters AS (
        DELETE FROM fraud_counters counter USING unused
        WHERE counter.owner_id = unused.owner_id AND counter.digest = unused.digest
    )
    SELECT count(*) FROM points
""")


# orjson reads and writes integers of 64 bits, and a sum that only grows may pass them. JSON this short holds none.
_ORJSON_END = 2**63
_ORJSON_CHARACTERS = 25


def lock(transaction: Transaction, totals: Mapping[Key, Tally], kept_until: datetime) -> set[Key]:
    """Lock the counters until the transaction ends, and return those that exist already.

    Those that are new are written as `totals` has them.
    """
    rows = [_counter(key, tally, kept_until) for key, tally in totals.items()]
    made = {Key(owner_id, digest.replace("-", "")) for owner_id, digest in transaction.run(_LOCK, rows=json_rows(rows))}
    return totals.keys() - made


def read(
    transaction: Transaction, keys: Collection[Key], looks: Sequence[Look], now: datetime
) -> tuple[dict[Key, Tally], dict[Look, Point]]:
    """Return the counters of the keys, which are locked, and the first point in each window that has one."""
    if not keys:
        return {}, {}
    looked = {look.key for look in looks}
    wanted = [look for look in looks if look.key in keys]
    # A window of no length finds no point, and the counter all the same.
    wanted += [Look(key, now, 0) for key in keys if key not in looked]
    rows = [
        {
            "place": place,
            "owner_id": look.key.owner_id,
            "digest": look.key.digest,
            "at": look.at,
            "window_seconds": look.window_seconds,
        }
        for place, look in enumerate(wanted)
    ]
    tallies: dict[Key, Tally] = {}
    points: dict[Look, Point] = {}
    for place, count, sums, last_at, at, count_before, sums_before in transaction.run(
        _READ, rows=json_rows(rows), length=len(rows)
    ):
        look = wanted[place]
        if look.key not in tallies:
            tallies[look.key] = Tally(count, _read_sums(sums), last_at)
        if at is not None:
            points[look] = Point(at, count_before, _read_sums(sums_before))
    return tallies, points


def write(
    transaction: Transaction, tallies: Mapping[Key, Tally], existing: Collection[Key], kept_until: datetime
) -> None:
    """Write the counters that exist already, and the points of all."""
    counters = [_counter(key, tallies[key], kept_until) for key in existing]
    points = [
        {
            "owner_id": key.owner_id,
            "digest": key.digest,
            "at": point.at,
            "count_before": point.count_before,
            "sums_before": _sums(point.sums_before),
            "kept_until": kept_until,
        }
        for key, tally in tallies.items()
        for point in tally.points
    ]
    transaction.run(_WRITE, counters=json_rows(counters), length=len(counters), points=json_rows(points))


def delete_old(transaction: Transaction, now: datetime, limit: int) -> int:
    """Delete up to `limit` points that are no longer needed, and counters that have none left; return the points."""
    return int(transaction.run(_DELETE_OLD, now=now, limit=limit)[0][0])


def _counter(key: Key, tally: Tally, kept_until: datetime) -> dict[str, Any]:
    return {
        "owner_id": key.owner_id,
        "digest": key.digest,
        "count": tally.count,
        "sums": _sums(tally.sums),
        "last_at": tally.last_at,
        "kept_until": kept_until,
    }


def _sums(sums: Sums) -> Sums | orjson.Fragment:
    return sums if max(sums.values(), default=0) < _ORJSON_END else orjson.Fragment(json.dumps(sums))


def _read_sums(text: str) -> dict[str, int]:
    sums: dict[str, int] = orjson.loads(text) if len(text) <= _ORJSON_CHARACTERS else json.loads(text)
    return sums
