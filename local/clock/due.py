"""What the stack waits for: the times at which its database, its jobs and its gateway have something to do next."""

from __future__ import annotations

from typing import NamedTuple

import pg8000.native


class Due(NamedTuple):
    """Something due at `at`, in seconds since 1970; `is_job` if only a run of the jobs finds it."""

    at: float
    what: str
    is_job: bool


# The jobs look at these times. What only cleans up, such as expired answers, can wait for the end of an advance.
_JOBS = {
    "late check": "SELECT ask_at AS at FROM late_checks",
    "authorization expires": "SELECT capture_before FROM payments WHERE status = 'requires_capture' "
    "AND pending_operation IS NULL",
    "notice": "SELECT work_at FROM gateway_notices WHERE work_at IS NOT NULL",
    "review expires": "SELECT review_expires_at FROM fraud_decisions WHERE review_expires_at IS NOT NULL "
    "AND answer IS NULL",
    "circuit": "SELECT open_until FROM circuits WHERE open_until IS NOT NULL",
    # Partitions are made months before their month begins.
    "month begins": "SELECT date_trunc('month', now(), 'UTC') + interval '1 month'",
}
_NEXT_JOBS = " UNION ALL ".join(
    f"(SELECT extract(epoch FROM min(at))::float8, '{what}', true FROM ({sql}) AS times (at) WHERE at > now())"  # noqa: S608
    for what, sql in _JOBS.items()
)
_NEXT = f"""
    SELECT extract(epoch FROM min(available_at))::float8, 'message', false FROM outbox
    WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at > now()
    UNION ALL {_NEXT_JOBS}
"""  # noqa: S608
_JOBS_DUE = " OR ".join(f"EXISTS (SELECT FROM ({sql}) AS times (at) WHERE at <= now())" for sql in _JOBS.values())
_ARE_MESSAGES_DUE = """
    SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now())
"""
# What a worker has in hand is neither in the outbox nor in a queue: it is open, no message about it waits, and its last
# message or change is not long ago. What is open for longer was left behind by a process that died.
_IN_HAND_SECONDS_MAX = 60
_IN_HAND = f"""
    NOT EXISTS (SELECT FROM outbox m WHERE m.payment_id = x.payment_id AND m.exchange IS NOT NULL
                AND m.published_at IS NULL AND position(x.id::text IN m.body) > 0)
    AND greatest(x.changed_at, (SELECT max(m.available_at) FROM outbox m
                                WHERE m.payment_id = x.payment_id AND m.exchange IS NOT NULL))
        > now() - interval '{_IN_HAND_SECONDS_MAX} seconds'
"""  # noqa: S608
_OPEN = (
    "SELECT id, id, updated_at FROM payments WHERE is_unsettled",
    "SELECT id, payment_id, updated_at FROM operations WHERE id <> payment_id "
    "AND status IN ('accepted', 'started', 'pending', 'rate_limited', 'unknown')",
    "SELECT id, payment_id, created_at FROM webhook_deliveries WHERE finished_at IS NULL",
    "SELECT id, payment_id, coalesce(claimed_at, created_at) FROM notifications WHERE finished_at IS NULL",
)
_IS_WORK_IN_HAND = " OR ".join(
    f"EXISTS (SELECT FROM ({sql}) AS x (id, payment_id, changed_at) WHERE {_IN_HAND})" for sql in _OPEN
)
_WAKE_RELAY = "SELECT pg_notify('outbox', '')"


def next_in_database(connection: pg8000.native.Connection) -> list[Due]:
    """Return the next time of every kind, in any order."""
    return [Due(*row) for row in connection.run(_NEXT) if row[0] is not None]


def are_jobs_due(connection: pg8000.native.Connection) -> bool:
    """Return whether a run of the jobs would find something."""
    return bool(connection.run(f"SELECT {_JOBS_DUE}")[0][0])


def are_messages_due(connection: pg8000.native.Connection) -> bool:
    """Return whether the relay has something to publish now."""
    return bool(connection.run(_ARE_MESSAGES_DUE)[0][0])


def is_work_in_hand(connection: pg8000.native.Connection) -> bool:
    """Return whether a worker has taken a message and is not done with it."""
    return bool(connection.run(f"SELECT {_IS_WORK_IN_HAND}")[0][0])


def wake_relay(connection: pg8000.native.Connection) -> None:
    """Let the relay look for messages now."""
    connection.run(_WAKE_RELAY)
