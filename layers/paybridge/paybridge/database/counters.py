"""Counters that only grow, exact to the transaction, and never a lock that transactions wait for.

A transaction adds its own row to `counter_deltas`. The jobs function moves these rows into `counters`. A reader
adds both up in one statement, so it sees each row once, before or after it is moved.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from paybridge.database.database import Database, Statement, Transaction

# What the consumer has taken from its queues. Other counters have the names of events, or are named by their feature.
MESSAGES_CONSUMED = "message.consumed"

# For use in a statement that has the parameter `counts`.
ADD_COUNTS = """
    INSERT INTO counter_deltas (name, delta) SELECT key, value::bigint FROM json_each_text(:counts::json)
"""

_ADD = Statement(ADD_COUNTS)

# Its commit does not wait for the disk. A crash of the server loses the counts of its last second.
_ADD_ALONE = Statement("""
    INSERT INTO counter_deltas (name, delta)
    SELECT key, value::bigint
    FROM json_each_text(:counts::json), (SELECT set_config('synchronous_commit', 'off', true)) AS commits_later
""")

# A second fold at the same time waits for the rows of the first, and then finds them gone.
_FOLD = Statement("""
    WITH taken AS (
        DELETE FROM counter_deltas
        WHERE ctid = ANY(ARRAY(SELECT ctid FROM counter_deltas LIMIT :limit::integer))
        RETURNING name, delta
    ), added AS (
        INSERT INTO counters AS known (name, value) SELECT name, sum(delta) FROM taken GROUP BY name ORDER BY name
        ON CONFLICT (name) DO UPDATE SET value = known.value + excluded.value
    )
    SELECT count(*) FROM taken
""")

_READ = Statement("""
    SELECT name, sum(value)::bigint FROM (
        SELECT name, value FROM counters UNION ALL SELECT name, delta FROM counter_deltas
    ) AS every GROUP BY name
""")


def counts_of(counts: Mapping[str, int]) -> str:
    """Return the parameter `counts` of ADD_COUNTS. Counters that do not grow are left out."""
    return orjson.dumps({name: count for name, count in counts.items() if count > 0}).decode()


def add(transaction: Transaction, counts: Mapping[str, int]) -> None:
    """Add to the counters of these names, if the transaction commits."""
    if any(counts.values()):
        transaction.run(_ADD, counts=counts_of(counts))


def add_alone(database: Database, counts: Mapping[str, int]) -> None:
    """Add to the counters of these names, for what no transaction records. Raises DatabaseUnavailable."""
    if any(counts.values()):
        database.run(_ADD_ALONE, counts=counts_of(counts))


def fold(database: Database, limit: int) -> int:
    """Move up to `limit` rows into the counters and return how many. Raises DatabaseUnavailable and LockTimeout."""
    return int(database.run(_FOLD, limit=limit)[0][0])


def read(database: Database) -> dict[str, int]:
    """Return every counter. Raises DatabaseUnavailable."""
    return {name: value for name, value in database.run(_READ)}  # noqa: C416 -- rows are lists to the type checker.
