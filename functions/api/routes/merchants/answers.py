"""Answer the requests about merchants."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import public_path, request_context
from api.pages import json_response, page_response
from api.problems import Problem, validation_failed
from api.request.model_body import read_model, read_query
from api.request.parameters import PageQuery, parse_id
from api.routes.merchants.schemas import MerchantChanges, MerchantRequest
from paybridge.access.change_merchant import change_merchant
from paybridge.access.create_merchant import create_merchant
from paybridge.access.domain.merchants import Merchant, MerchantDetails, merchant_view
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.access.read_merchants import list_merchants, read_merchant
from paybridge.core.fields import FieldError

# Null means that there is none, but for members that a merchant always has.
_ALWAYS = {"notify": (), "gateway": "default"}


async def create(request: Request) -> Response:
    """Create a merchant. Raises Problem (400, 413, 415, 422)."""
    services = request_context(request).services
    body = await read_model(request, MerchantRequest)
    details = MerchantDetails(**_members(request, body))
    created = create_merchant(services.database, services.clock, services.ids, details)
    view = {**merchant_view(created.merchant), "webhook_secret": created.webhook_secret}
    location = public_path(request, f"/api/v1/ops/merchants/{created.merchant.id}")
    # No cache on the way keeps a secret.
    headers = {"Location": location, "Cache-Control": "no-store"}
    return Response(orjson.dumps(view), 201, headers, "application/json")


def list_(request: Request) -> Response:
    """Return a page of merchants. Raises Problem (400, 422) and InvalidInput."""
    query = read_query(request, PageQuery)
    page = list_merchants(request_context(request).services.database, cursor=query.cursor, limit=query.limit)
    return page_response([orjson.dumps(merchant_view(merchant)) for merchant in page.merchants], page.next_cursor)


def read(request: Request, merchant_id: str) -> Response:
    """Return a merchant. Raises Problem (404)."""
    found = read_merchant(request_context(request).services.database, _parse_id(merchant_id))
    return json_response(merchant_view(_found(found)))


async def change(request: Request, merchant_id: str) -> Response:
    """Change a merchant. Raises Problem (400, 404, 413, 415, 422)."""
    services, id_ = request_context(request).services, _parse_id(merchant_id)
    body = await read_model(request, MerchantChanges)
    if "name" in body.model_fields_set and body.name is None:
        raise validation_failed([FieldError("name", "required", "A merchant needs a name.")])
    changed = change_merchant(services.database, services.clock, id_, _members(request, body))
    return json_response(merchant_view(_found(changed)))


def _members(request: Request, body: MerchantChanges) -> dict[str, Any]:
    """Return the members that the body names, as MerchantDetails has them. Raises Problem (422)."""
    members: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    members |= {name: absent for name, absent in _ALWAYS.items() if name in members and members[name] is None}
    if "notify" in members:
        members["notify"] = tuple(members["notify"])
    if body.fees is not None:
        members["fees"] = body.fees.model_dump(exclude_none=True)
    if body.rate_limit is not None:
        members["rate_limit"] = RateLimit(body.rate_limit.per_second, body.rate_limit.burst)
    known = request_context(request).services.gateway_names
    if members.get("gateway", "default") not in known:
        detail = f"Send one of the gateways of this environment: {', '.join(sorted(known))}."
        raise validation_failed([FieldError("gateway", "gateway_unknown", detail)])
    return members


def _parse_id(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _found(merchant: Merchant | None) -> Merchant:
    if merchant is None:
        raise _not_found()
    return merchant


def _not_found() -> Problem:
    return Problem(404, "merchant_not_found", "No such merchant. Check the id.")
