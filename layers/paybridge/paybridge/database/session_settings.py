"""The settings of every session, sent by SET because RDS Proxy refuses them as options of the connection.

The second half keeps plans independent of the number of rows at the moment a plan is made, which is none at first
(decision 0012). Every statement finds its few rows by an index, one nested loop after the other. With hash joins, or
with the usual costs of pages and comparisons, the planner reads all rows of a small table to find a hundred of them,
and keeps doing so when the table has grown (tests/database/test_plans.py).
"""

from __future__ import annotations

from collections.abc import Mapping

_SETTINGS: Mapping[str, str] = {
    "client_encoding": "'UTF8'",
    "timezone": "'UTC'",
    # How long a request waits for another with the same idempotency key before its caller hears that it is in flight.
    "lock_timeout": "'2s'",
    # Frees the rows of a relay whose process hangs.
    "idle_in_transaction_session_timeout": "'60s'",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "seq_page_cost": "0",
    "random_page_cost": "0",
    "cpu_operator_cost": "0.0001",
}


def set_commands(statement_seconds_max: float) -> str:
    """Return the SET commands of a session in which a statement may take `statement_seconds_max`."""
    settings = {**_SETTINGS, "statement_timeout": f"'{round(statement_seconds_max * 1000)}ms'"}
    return "; ".join(f"SET {name} = {value}" for name, value in settings.items())
