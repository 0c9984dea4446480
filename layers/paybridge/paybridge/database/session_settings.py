"""The settings of every session, sent by SET because RDS Proxy refuses them as options of the connection.

An administrator may give the database or the role other defaults (`ALTER DATABASE … SET`). None of them may change how
we read a time, find a table or write a row, so the session sets every default that could. All of them travel in one
message, so a setting costs no round trip.

The last part keeps plans independent of the number of rows at the moment a plan is made, which is none at first
(decision 0012). Every statement finds its few rows by an index, one nested loop after the other. With hash joins, or
with the usual costs of pages and comparisons, the planner reads all rows of a small table to find a hundred of them,
and keeps doing so when the table has grown (tests/database/test_plans.py).
"""

from __future__ import annotations

_SETTINGS: dict[str, str] = {
    # How values are written and read.
    "client_encoding": "'UTF8'",
    "timezone": "'UTC'",
    "datestyle": "'ISO, MDY'",
    "intervalstyle": "'postgres'",
    "bytea_output": "'hex'",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    # Where tables are found. Temporary tables come last, so that none of them hides one of ours.
    "search_path": "public, pg_temp",
    # What a transaction is.
    "default_transaction_isolation": "'read committed'",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    # What was acknowledged survives a crash.
    "synchronous_commit": "on",
    "client_min_messages": "notice",
    # How long a request waits for another with the same idempotency key before its caller hears that it is in flight.
    "lock_timeout": "'2s'",
    # Frees the rows of a relay whose process hangs.
    "idle_in_transaction_session_timeout": "'60s'",
    # A relay waits in an idle session for new rows.
    "idle_session_timeout": "0",
    "plan_cache_mode": "force_generic_plan",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    "enable_nestloop": "on",
    "enable_partition_pruning": "on",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "seq_page_cost": "0",
    "random_page_cost": "0",
    "cpu_operator_cost": "0.0001",
}

# PostgreSQL 17 has this limit; earlier versions refuse to set what they do not know.
_NO_TRANSACTION_TIMEOUT = """
    SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) IS NOT NULL
"""


def set_search_path(path: str) -> None:
    """Let the sessions of this process look names up in these schemas. Only the offline stack's test clock does so."""
    _SETTINGS["search_path"] = path


def set_commands(statement_seconds_max: float) -> str:
    """Return the commands of a session in which a statement may take `statement_seconds_max`."""
    settings = {**_SETTINGS, "statement_timeout": f"'{round(statement_seconds_max * 1000)}ms'"}
    commands = [f"SET {name} = {value}" for name, value in settings.items()]
    return "; ".join([*commands, _NO_TRANSACTION_TIMEOUT])
