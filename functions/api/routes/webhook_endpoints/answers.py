"""Answer the requests about webhook endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import calling_merchant, public_path, request_context, visible_merchant
from api.pages import json_response, page_response
from api.problems import Problem, validation_failed
from api.request.model_body import read_model, read_query
from api.request.parameters import PageQuery, parse_id
from api.routes.webhook_endpoints.schemas import (
    DeliveryListQuery,
    EndpointChanges,
    EndpointRequest,
    SecretRotationRequest,
)
from paybridge.core.errors import InvalidInput
from paybridge.core.fields import FieldError
from paybridge.webhooks.change_endpoint import change_endpoint, delete_endpoint, rotate_secret
from paybridge.webhooks.create_endpoint import EndpointOrder, NewSecret, create_endpoint
from paybridge.webhooks.domain.delivery_log import DeliveryFilters, listed_view
from paybridge.webhooks.domain.endpoint import ENDPOINTS_MAX, OVERLAP_SECONDS, Endpoint, endpoint_view
from paybridge.webhooks.domain.resumption import resumption_view
from paybridge.webhooks.domain.webhook_url import check_webhook_url
from paybridge.webhooks.read_deliveries import list_deliveries
from paybridge.webhooks.read_endpoints import list_endpoints, read_endpoint
from paybridge.webhooks.resume import read_resumptions
from paybridge.webhooks.send_test import send_test

PREFIX = "/api/v1/webhook-endpoints"


async def create(request: Request) -> Response:
    """Create an endpoint. Raises Problem (400, 409, 413, 415, 422)."""
    services = request_context(request).services
    body = await read_model(request, EndpointRequest)
    _check_url(request, body.url)
    order = EndpointOrder(url=body.url, events=tuple(body.events), description=body.description)
    created = create_endpoint(services.database, services.clock, services.ids, calling_merchant(request), order)
    if created is None:
        detail = f"You have {ENDPOINTS_MAX} webhook endpoints, which is the most. Change or delete one."
        raise Problem(409, "webhook_endpoints_too_many", detail)
    location = {"Location": public_path(request, f"{PREFIX}/{created.endpoint.id}")}
    return _with_secret(request, created, 201, location)


def list_(request: Request) -> Response:
    """Return a page of endpoints. Raises Problem (400, 422) and InvalidInput."""
    query = read_query(request, PageQuery)
    database = request_context(request).services.database
    page = list_endpoints(database, visible_merchant(request), cursor=query.cursor, limit=query.limit)
    views = _views(request, page.endpoints)
    return page_response([orjson.dumps(view) for view in views], page.next_cursor)


def read(request: Request, endpoint_id: str) -> Response:
    """Return an endpoint. Raises Problem (404)."""
    database = request_context(request).services.database
    found = read_endpoint(database, visible_merchant(request), _parse_id(endpoint_id))
    return json_response(_view(request, _found(found)))


async def change(request: Request, endpoint_id: str) -> Response:
    """Change an endpoint. Raises Problem (400, 404, 413, 415, 422)."""
    services, id_ = request_context(request).services, _parse_id(endpoint_id)
    body = await read_model(request, EndpointChanges)
    changes = _changes(body)
    if "url" in changes:
        _check_url(request, changes["url"])
    changed = change_endpoint(services.database, services.clock, services.ids, calling_merchant(request), id_, changes)
    return json_response(_view(request, _found(changed)))


def delete(request: Request, endpoint_id: str) -> Response:
    """Delete an endpoint. Raises Problem (404)."""
    services = request_context(request).services
    if not delete_endpoint(services.database, services.clock, calling_merchant(request), _parse_id(endpoint_id)):
        raise _not_found()
    return Response(status_code=204)


def deliveries(request: Request, endpoint_id: str) -> Response:
    """Return a page of the endpoint's deliveries. Raises Problem (400, 404, 422) and InvalidInput."""
    database = request_context(request).services.database
    query = read_query(request, DeliveryListQuery)
    endpoint = _found(read_endpoint(database, visible_merchant(request), _parse_id(endpoint_id)))
    filters = DeliveryFilters(status=query.status, event_type=query.event_type)
    page = list_deliveries(database, endpoint.id, filters, cursor=query.cursor, limit=query.limit)
    return page_response([orjson.dumps(listed_view(each)) for each in page.deliveries], page.next_cursor)


async def rotate(request: Request, endpoint_id: str) -> Response:
    """Give an endpoint a new secret. Raises Problem (400, 404, 413, 415, 422)."""
    services, id_ = request_context(request).services, _parse_id(endpoint_id)
    body = await read_model(request, SecretRotationRequest)
    overlap_seconds = OVERLAP_SECONDS if body.overlap_seconds is None else body.overlap_seconds
    rotated = rotate_secret(services.database, services.clock, calling_merchant(request), id_, overlap_seconds)
    if rotated is None:
        raise _not_found()
    return _with_secret(request, rotated, 200)


def test(request: Request, endpoint_id: str) -> Response:
    """Begin the delivery of a test. Raises Problem (404, 409)."""
    services, id_ = request_context(request).services, _parse_id(endpoint_id)
    sent = send_test(services.database, services.clock, services.ids, calling_merchant(request), id_)
    if sent is None:
        raise _not_found()
    if isinstance(sent, Endpoint):
        detail = "The webhook endpoint is disabled. Enable it, then test it."
        raise Problem(409, "webhook_endpoint_disabled", detail)
    view = {
        "delivery_id": str(sent.id),
        "event_id": str(sent.event_id),
        "endpoint_id": str(id_),
        "type": sent.event_type,
        "status": "pending",
    }
    location = {"Location": public_path(request, f"/api/v1/webhook-deliveries/{sent.id}")}
    return Response(orjson.dumps(view), 202, location, "application/json")


def _changes(body: EndpointChanges) -> dict[str, Any]:
    """Return the members that the body names. Raises Problem (422) for null where an endpoint needs a value."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    empty = [name for name in ("url", "events", "status") if name in changes and changes[name] is None]
    if empty:
        raise validation_failed([FieldError(name, "required", "An endpoint needs a value here.") for name in empty])
    if "events" in changes:
        changes["events"] = tuple(changes["events"])
    return changes


def _check_url(request: Request, url: str) -> None:
    """Raise InvalidInput, which names the member `url`, unless webhooks may go there."""
    networks = request_context(request).services.local_webhook_networks
    try:
        check_webhook_url(url, local_networks=networks)
    except InvalidInput as error:
        raise InvalidInput(error.code, error.detail, "url") from None


def _views(request: Request, endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    found = read_resumptions(request_context(request).services.database, [endpoint.id for endpoint in endpoints])
    return [{**endpoint_view(endpoint), "resuming": resumption_view(found.get(endpoint.id))} for endpoint in endpoints]


def _view(request: Request, endpoint: Endpoint) -> dict[str, Any]:
    [view] = _views(request, [endpoint])
    return view


def _with_secret(request: Request, found: NewSecret, status: int, headers: dict[str, str] | None = None) -> Response:
    view = {**_view(request, found.endpoint), "secret": found.secret}
    # No cache on the way keeps a secret.
    return Response(orjson.dumps(view), status, {**(headers or {}), "Cache-Control": "no-store"}, "application/json")


def _parse_id(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _found(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise _not_found()
    return endpoint


def _not_found() -> Problem:
    return Problem(404, "webhook_endpoint_not_found", "No such webhook endpoint. Check the id and the API key.")
