"""Answer the requests about API keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import caller, request_context, visible_merchant
from api.pages import page_response
from api.problems import Problem
from api.request.model_body import read_model, read_query
from api.request.parameters import PageQuery, parse_id
from api.routes.keys.schemas import AnyonesKeyRequest, KeyRequest, RotationRequest
from paybridge.access.create_key import KeyOrder, NewKey, create_key, creator_of
from paybridge.access.domain.api_keys import OVERLAP_SECONDS, key_view
from paybridge.access.domain.caller import Principal, Role
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.access.list_keys import list_keys
from paybridge.access.revoke_key import revoke_key
from paybridge.access.rotate_key import rotate_key


async def create(request: Request) -> Response:
    """Create a key. Raises Problem (400, 403, 413, 415, 422) and InvalidInput."""
    services, principal = request_context(request).services, caller(request)
    order = await _order(request, principal)
    creator = creator_of(principal)
    created = create_key(services.database, services.clock, services.ids, order, created_by=creator)
    return _created(request, created)


def list_(request: Request) -> Response:
    """Return a page of keys: the merchant's, or all. Raises Problem (400, 422) and InvalidInput."""
    services = request_context(request).services
    query = read_query(request, PageQuery)
    page = list_keys(services.database, visible_merchant(request), cursor=query.cursor, limit=query.limit)
    now = services.clock.now()
    return page_response([orjson.dumps(key_view(key, now)) for key in page.keys], page.next_cursor)


async def rotate(request: Request, key_id: str) -> Response:
    """Rotate a key. Raises Problem (400, 404, 409, 413, 415, 422)."""
    services = request_context(request).services
    order = await read_model(request, RotationRequest)
    rotated = rotate_key(
        services.database,
        services.clock,
        services.ids,
        visible_merchant(request),
        _parse_id(key_id),
        overlap_seconds=OVERLAP_SECONDS if order.overlap_seconds is None else order.overlap_seconds,
        created_by=creator_of(caller(request)),
    )
    if rotated is None:
        raise _not_found()
    if not isinstance(rotated, NewKey):
        detail = "The key was rotated before, or does not work any more. Nothing was changed. Rotate the newest key."
        extensions = {} if rotated.replaced_by is None else {"replaced_by": str(rotated.replaced_by)}
        raise Problem(409, "api_key_not_rotatable", detail, extensions=extensions)
    return _created(request, rotated)


def revoke(request: Request, key_id: str) -> Response:
    """Revoke a key. Raises Problem (404)."""
    services, id_ = request_context(request).services, _parse_id(key_id)
    if not revoke_key(
        services.database, services.clock, visible_merchant(request), id_, revoked_by=caller(request).actor
    ):
        raise _not_found()
    return Response(status_code=204)


async def _order(request: Request, principal: Principal) -> KeyOrder:
    if principal.role is Role.MERCHANT:
        return _merchants_order(await read_model(request, KeyRequest), principal)
    body = await read_model(request, AnyonesKeyRequest)
    limit = body.rate_limit
    return KeyOrder(
        role=body.role or Role.MERCHANT,
        merchant_id=None if body.merchant_id is None else UUID(body.merchant_id),
        name=body.name,
        expires_at=body.expires_at,
        rate_limit=None if limit is None else RateLimit(limit.per_second, limit.burst),
    )


def _merchants_order(body: KeyRequest, principal: Principal) -> KeyOrder:
    """Return the order of a merchant, which makes keys for itself alone. Raises Problem (403)."""
    is_for_itself = body.merchant_id is None or UUID(body.merchant_id) == principal.merchant_id
    if body.role not in {None, Role.MERCHANT} or not is_for_itself:
        detail = "A merchant creates keys for itself, with the role merchant. Leave role and merchant_id out."
        raise Problem(403, "role_not_permitted", detail)
    return KeyOrder(role=Role.MERCHANT, merchant_id=principal.merchant_id, name=body.name, expires_at=body.expires_at)


def _created(request: Request, created: NewKey) -> Response:
    now = request_context(request).services.clock.now()
    view: dict[str, Any] = {**key_view(created.key, now), "api_key": created.api_key}
    # No cache on the way keeps a key.
    return Response(orjson.dumps(view), 201, {"Cache-Control": "no-store"}, "application/json")


def _parse_id(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _not_found() -> Problem:
    return Problem(404, "api_key_not_found", "No such API key. Check the id.")
