"""Read webhook endpoints: one, or all in pages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.core.cursors import position_of
from paybridge.database.database import Database
from paybridge.webhooks.domain.endpoint import Endpoint
from paybridge.webhooks.store import endpoints


@dataclass(frozen=True, slots=True)
class EndpointPage:
    """Endpoints, newest first, and the cursor of the next page."""

    endpoints: list[Endpoint]
    next_cursor: str | None


def read_endpoint(database: Database, merchant_id: UUID | None, endpoint_id: UUID) -> Endpoint | None:
    """Return the merchant's endpoint, None if there is none. Without a merchant it is that of any."""
    return endpoints.get(database, merchant_id, endpoint_id)


def list_endpoints(database: Database, merchant_id: UUID | None, *, cursor: str | None, limit: int) -> EndpointPage:
    """Return the merchant's endpoints, or those of all if it is None, newest first, at most `limit` after the cursor.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # One more than asked for shows whether another page follows.
    found = endpoints.list_newest_first(database, merchant_id, before=position_of(cursor), limit=limit + 1)
    page = found[:limit]
    return EndpointPage(page, str(page[-1].id) if len(found) > limit else None)
