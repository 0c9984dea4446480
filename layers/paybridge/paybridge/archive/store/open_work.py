"""What of a month is not finished, and keeps it in the database."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction

# Enough to name. An operator looks at the rows, not at their exact number.
COUNTED_MAX = 1000

# Of the operations, the charge or authorization has its payment's id, and is open as long as the payment is. What was
# given up stays `unknown`, and has a check as long as the gateway is asked about it.
_CHANGING = {
    "unsettled payments": """
        SELECT FROM payments
        WHERE id >= :low::uuid AND id < :high::uuid
          AND (status IN ('pending', 'processing', 'review', 'requires_capture') OR pending_operation IS NOT NULL
               OR capturing_minor > 0 OR refunding_minor > 0)
    """,
    "open operations": """
        SELECT FROM operations
        WHERE id <> payment_id AND status IN ('accepted', 'started', 'pending', 'rate_limited', 'unknown')
          AND (id >= :low::uuid AND id < :high::uuid OR payment_id >= :low::uuid AND payment_id < :high::uuid)
    """,
    "operations that the gateway will be asked about": """
        SELECT FROM late_checks
        WHERE payment_id >= :low::uuid AND payment_id < :high::uuid
           OR operation_id >= :low::uuid AND operation_id < :high::uuid
    """,
    "notices of the gateway": """
        SELECT FROM gateway_notices
        WHERE work_at IS NOT NULL AND operation_id >= :low::uuid AND operation_id < :high::uuid
    """,
    "unanswered reviews": """
        SELECT FROM fraud_decisions
        WHERE review_expires_at IS NOT NULL AND answer IS NULL
          AND payment_id >= :low::uuid AND payment_id < :high::uuid
    """,
    "unpublished events": """
        SELECT FROM outbox
        WHERE published_at IS NULL AND exchange IS NOT NULL AND id >= :low::uuid AND id < :high::uuid
    """,
    "pending webhooks": """
        SELECT FROM webhook_deliveries WHERE finished_at IS NULL AND id >= :low::uuid AND id < :high::uuid
    """,
    "pending notifications": """
        SELECT FROM notifications WHERE finished_at IS NULL AND id >= :low::uuid AND id < :high::uuid
    """,
    "dead letters": """
        SELECT FROM dead_letters
        WHERE state IN ('dead', 'redriving') AND payment_id >= :low::uuid AND payment_id < :high::uuid
    """,
}
# What reads the month and changes nothing of it.
_READING = {
    "open replays": """
        SELECT FROM replays
        WHERE state IN ('running', 'paused') AND uuid7_floor(begin_at) < :high::uuid
          AND uuid7_floor(end_at) > :low::uuid
    """,
    "webhook recoveries": """
        SELECT FROM webhook_recoveries WHERE state = 'running' AND uuid7_floor(since) < :high::uuid
    """,
    "dry runs of fraud rules": """
        SELECT FROM fraud_dry_runs WHERE state = 'running' AND uuid7_floor(counted_from) < :high::uuid
    """,
    # What is unknown to one that began before its day is a break of it too. Reconciliation looks back as far.
    "running reconciliations": """
        SELECT FROM reconciliations
        WHERE state = 'running' AND uuid7_floor((day - 8)::timestamp AT TIME ZONE 'UTC') < :high::uuid
          AND uuid7_floor((day + 1)::timestamp AT TIME ZONE 'UTC') > :low::uuid
    """,
    # One reads the whole log.
    "rebuilds of the books": """
        SELECT FROM ledger.rebuilds WHERE state = 'running' AND :low::uuid < :high::uuid
    """,
}
_KEEPERS = ("open replays", "running reconciliations", "rebuilds of the books")
_COUNTS = {
    noun: Statement(f"SELECT count(*) FROM ({query} LIMIT {COUNTED_MAX}) AS open")
    for noun, query in (_CHANGING | _READING).items()
}


def is_read(database: Database | Transaction, low: UUID, high: UUID) -> bool:
    """Tell whether rows with ids from `low` to before `high` are replayed, reconciled or read for a rebuild."""
    return any(database.run(_COUNTS[noun], low=low, high=high)[0][0] for noun in _KEEPERS)


def describe_open_work(database: Database, low: UUID, high: UUID) -> str | None:
    """Return what is unfinished among the rows with ids from `low` to before `high`, None if nothing is."""
    return _describe(database, _COUNTS, low, high)


def describe_changes(database: Database, low: UUID, high: UUID) -> str | None:
    """Return what will change rows with ids from `low` to before `high`, None if nothing will."""
    return _describe(database, _CHANGING, low, high)


def _describe(database: Database, nouns: Iterable[str], low: UUID, high: UUID) -> str | None:
    counts = {noun: database.run(_COUNTS[noun], low=low, high=high)[0][0] for noun in nouns}
    found = [f"{_number(count)} {noun}" for noun, count in counts.items() if count]
    return ", ".join(found) or None


def _number(count: int) -> str:
    return f"{COUNTED_MAX} or more" if count >= COUNTED_MAX else str(count)
