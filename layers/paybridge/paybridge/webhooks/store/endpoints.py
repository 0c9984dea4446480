"""Webhook endpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from paybridge.core.times import format_time
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.database.wire import Row
from paybridge.webhooks.domain.endpoint import (
    DisabledReason,
    Endpoint,
    EndpointSecret,
    EndpointStatus,
    chooses,
    follows_progress,
)
from paybridge.webhooks.domain.failing import FailureClock

_COLUMNS = (
    "id, merchant_id, url, to_json(events), description, secrets, status, disabled_at, disabled_reason, "
    "first_failure_at, failing_since, warned_percent, last_sequence, created_at, updated_at"
)

# Two creations at once must not pass the limit together, and a change must not be overtaken by another.
_LOCK_MERCHANT = Statement("SELECT id FROM merchants WHERE id = :merchant_id::uuid FOR NO KEY UPDATE")

_FIND_IDS = Statement("""
    SELECT id FROM webhook_endpoints WHERE merchant_id = :merchant_id::uuid AND deleted_at IS NULL
""")

_INSERT = Statement("""
    INSERT INTO webhook_endpoints (id, merchant_id, url, events, description, secrets, created_at, updated_at)
    VALUES (:id::uuid, :merchant_id::uuid, :url::text, ARRAY(SELECT json_array_elements_text(:events::json)),
            :description::text, :secrets::json, :at::timestamptz, :at::timestamptz)
""")

_LIST = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE merchant_id = :merchant_id::uuid AND deleted_at IS NULL AND id < :before::uuid
    ORDER BY id DESC LIMIT :limit::integer
""")
_LIST_OF_ALL = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE deleted_at IS NULL AND id < :before::uuid ORDER BY id DESC LIMIT :limit::integer
""")

_GET = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE id = :id::uuid AND merchant_id = :merchant_id::uuid AND deleted_at IS NULL
""")
_GET_OF_ANY = Statement(f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE id = :id::uuid AND deleted_at IS NULL")

_LOCK = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE id = :id::uuid AND merchant_id = :merchant_id::uuid AND deleted_at IS NULL
    FOR UPDATE
""")

# Two batches that note failures must lock in the same order.
_LOCK_SOME = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_endpoints
    WHERE id = ANY (:ids::uuid[]) AND deleted_at IS NULL AND status = 'enabled'
    ORDER BY id
    FOR UPDATE
""")

# A change of the endpoint's status waits for this, or this waits and then finds it enabled.
_SHARE = Statement("""
    SELECT id, status FROM webhook_endpoints WHERE id = ANY (:ids::uuid[]) AND deleted_at IS NULL
    ORDER BY id
    FOR SHARE
""")

_FIND_URLS = Statement("""
    SELECT id, url FROM webhook_endpoints WHERE id = ANY (:ids::uuid[]) AND deleted_at IS NULL
""")

_UPDATE = Statement("""
    UPDATE webhook_endpoints
    SET url = :url::text, events = ARRAY(SELECT json_array_elements_text(:events::json)),
        description = :description::text, secrets = :secrets::json, status = :status::text,
        disabled_at = :disabled_at::timestamptz, disabled_reason = :disabled_reason::text,
        first_failure_at = :first_failure_at::timestamptz, failing_since = :failing_since::timestamptz,
        warned_percent = :warned_percent::smallint, last_sequence = :last_sequence::integer,
        updated_at = :updated_at::timestamptz
    WHERE id = :id::uuid
""")

_DELETE = Statement("""
    UPDATE webhook_endpoints SET deleted_at = :at::timestamptz, secrets = '[]' WHERE id = :id::uuid
""")

_FOLLOW = Statement("""
    UPDATE merchants SET follows_progress = :follows::boolean
    WHERE id = :merchant_id::uuid AND follows_progress <> :follows::boolean
""")
_PATTERNS = Statement("""
    SELECT to_json(events) FROM webhook_endpoints
    WHERE merchant_id = :merchant_id::uuid AND deleted_at IS NULL AND status = 'enabled'
""")

_TARGETS = Statement("""
    SELECT merchant_id, id, url, to_json(events), created_at FROM webhook_endpoints
    WHERE merchant_id = ANY (:merchant_ids::uuid[]) AND deleted_at IS NULL AND status = 'enabled'
    ORDER BY id
""")

# The time of an event and that of an endpoint come from the clocks of two environments. Only a replay brings events
# that are older than an endpoint by more.
CLOCKS_DIFFER_MAX = timedelta(minutes=1)

_NEWEST = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """Where an enabled endpoint wants which events."""

    id: UUID
    url: str
    events: tuple[str, ...]
    created_at: datetime

    def wants(self, event_type: str, happened_at: datetime) -> bool:
        """Return whether the endpoint chooses the type, and the event did not happen before the endpoint was there."""
        return chooses(self.events, event_type) and happened_at >= self.created_at - CLOCKS_DIFFER_MAX


def lock_merchant(transaction: Transaction, merchant_id: UUID) -> None:
    """Make other changes to the merchant's endpoints wait until this transaction ends."""
    transaction.run(_LOCK_MERCHANT, merchant_id=merchant_id)


def count(transaction: Transaction, merchant_id: UUID) -> int:
    """Return how many endpoints the merchant has."""
    return len(transaction.run(_FIND_IDS, merchant_id=merchant_id))


def insert(transaction: Transaction, endpoint: Endpoint) -> None:
    """Store a new endpoint."""
    transaction.run(
        _INSERT,
        id=endpoint.id,
        merchant_id=endpoint.merchant_id,
        url=endpoint.url,
        events=_patterns(endpoint.events),
        description=endpoint.description,
        secrets=_secrets(endpoint.secrets),
        at=endpoint.created_at,
    )


def list_newest_first(
    database: Database, merchant_id: UUID | None, *, before: UUID | None, limit: int
) -> list[Endpoint]:
    """Return at most `limit` endpoints with ids below `before`: the merchant's, or those of all if it is None."""
    if merchant_id is None:
        rows = database.run(_LIST_OF_ALL, before=before or _NEWEST, limit=limit)
    else:
        rows = database.run(_LIST, merchant_id=merchant_id, before=before or _NEWEST, limit=limit)
    return [_endpoint_of(row) for row in rows]


def get(database: Database, merchant_id: UUID | None, id_: UUID) -> Endpoint | None:
    """Return the merchant's endpoint, or that of any if the merchant is None; None if there is none."""
    if merchant_id is None:
        rows = database.run(_GET_OF_ANY, id=id_)
    else:
        rows = database.run(_GET, id=id_, merchant_id=merchant_id)
    return _endpoint_of(rows[0]) if rows else None


def find(transaction: Transaction, id_: UUID) -> Endpoint | None:
    """Return the endpoint of any merchant, None if there is none or it is deleted."""
    rows = transaction.run(_GET_OF_ANY, id=id_)
    return _endpoint_of(rows[0]) if rows else None


def lock(transaction: Transaction, merchant_id: UUID, id_: UUID) -> Endpoint | None:
    """Lock the merchant's endpoint and return it, None if there is none."""
    rows = transaction.run(_LOCK, id=id_, merchant_id=merchant_id)
    return _endpoint_of(rows[0]) if rows else None


def lock_enabled(transaction: Transaction, ids: Collection[UUID]) -> list[Endpoint]:
    """Lock those of the endpoints that are enabled, and return them."""
    return [_endpoint_of(row) for row in transaction.run(_LOCK_SOME, ids=uuid_array(ids))] if ids else []


def share_enabled(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Keep the status of these endpoints as it is until the transaction ends; return those that are enabled."""
    rows = transaction.run(_SHARE, ids=uuid_array(ids)) if ids else []
    return {id_ for id_, status in rows if status == EndpointStatus.ENABLED}


def find_urls(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the URLs of those of the endpoints that are not deleted."""
    return {id_: url for id_, url in transaction.run(_FIND_URLS, ids=uuid_array(ids))} if ids else {}  # noqa: C416


def update(transaction: Transaction, endpoint: Endpoint) -> None:
    """Store a changed endpoint, which is locked."""
    reason = endpoint.disabled_reason
    transaction.run(
        _UPDATE,
        id=endpoint.id,
        url=endpoint.url,
        events=_patterns(endpoint.events),
        description=endpoint.description,
        secrets=_secrets(endpoint.secrets),
        status=str(endpoint.status),
        disabled_at=endpoint.disabled_at,
        disabled_reason=None if reason is None else str(reason),
        first_failure_at=endpoint.first_failure_at,
        failing_since=endpoint.failing_since,
        warned_percent=endpoint.warned_percent,
        last_sequence=endpoint.last_sequence,
        updated_at=endpoint.updated_at,
    )


def delete(transaction: Transaction, id_: UUID, at: datetime) -> None:
    """Delete an endpoint. Its row stays for the log of its deliveries, without secrets."""
    transaction.run(_DELETE, id=id_, at=at)


def note_progress(transaction: Transaction, merchant_id: UUID) -> None:
    """Note at the merchant whether an enabled endpoint of it follows payments that are on their way."""
    rows = transaction.run(_PATTERNS, merchant_id=merchant_id)
    follows = any(follows_progress(events) for (events,) in rows)
    transaction.run(_FOLLOW, merchant_id=merchant_id, follows=follows)


def find_targets(transaction: Transaction, merchant_ids: Iterable[UUID]) -> dict[UUID, list[EndpointTarget]]:
    """Return the enabled endpoints of these merchants, by merchant."""
    targets: dict[UUID, list[EndpointTarget]] = {}
    for merchant_id, *values in transaction.run(_TARGETS, merchant_ids=uuid_array(sorted(merchant_ids))):
        id_, url, events, created_at = values
        targets.setdefault(merchant_id, []).append(EndpointTarget(id_, url, tuple(events), created_at))
    return targets


def clock_of(endpoint: Endpoint) -> FailureClock:
    """Return how long an endpoint has failed."""
    return FailureClock(endpoint.first_failure_at, endpoint.failing_since, endpoint.warned_percent)


def _patterns(events: Iterable[str]) -> str:
    return orjson.dumps([*events]).decode()


def _secrets(secrets: Iterable[EndpointSecret]) -> str:
    rows = [
        {
            "secret": each.secret,
            "valid_until": None if each.valid_until is None else format_time(each.valid_until),
        }
        for each in secrets
    ]
    return orjson.dumps(rows).decode()


def _endpoint_of(row: Row) -> Endpoint:
    id_, merchant_id, url, events, description, secrets, status, disabled_at, reason, *others = row
    first_failure_at, failing_since, warned_percent, last_sequence, created_at, updated_at = others
    return Endpoint(
        id=id_,
        merchant_id=merchant_id,
        url=url,
        events=tuple(events),
        description=description,
        secrets=tuple(map(_secret_of, secrets)),
        status=EndpointStatus(status),
        disabled_at=disabled_at,
        disabled_reason=None if reason is None else DisabledReason(reason),
        first_failure_at=first_failure_at,
        failing_since=failing_since,
        warned_percent=warned_percent,
        last_sequence=last_sequence,
        created_at=created_at,
        updated_at=updated_at,
    )


def _secret_of(entry: dict[str, Any]) -> EndpointSecret:
    valid_until = entry["valid_until"]
    return EndpointSecret(entry["secret"], None if valid_until is None else datetime.fromisoformat(valid_until))
