"""Answer the requests about deliveries of webhooks."""

from __future__ import annotations

from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import calling_merchant, public_path, request_context, visible_merchant
from api.pages import json_response
from api.problems import Problem, validation_failed
from api.request.model_body import read_model
from api.request.parameters import parse_id
from api.routes.webhook_deliveries.schemas import RecoveryRequest
from paybridge.core.fields import FieldError
from paybridge.core.times import format_time
from paybridge.webhooks.domain.delivery_log import delivery_view, record_view
from paybridge.webhooks.domain.recovery import recovery_view
from paybridge.webhooks.read_deliveries import read_delivery
from paybridge.webhooks.recover import EndpointDisabled, start_recovery
from paybridge.webhooks.recover import read_recovery as read_progress
from paybridge.webhooks.redeliver import ATTEMPTS_MAX, NoEndpoint, StillPending, TooManyAttempts, redeliver_webhook

PREFIX = "/api/v1/webhook-deliveries"
ENDPOINTS = "/api/v1/webhook-endpoints"


def read(request: Request, delivery_id: str) -> Response:
    """Return a delivery with its attempts. Raises Problem (404)."""
    services = request_context(request).services
    record = read_delivery(services.database, visible_merchant(request), _id_of(delivery_id))
    if record is None:
        raise _not_found()
    return json_response(record_view(record))


def redeliver(request: Request, delivery_id: str) -> Response:
    """Begin a delivery again. Raises Problem (404, 409)."""
    services = request_context(request).services
    id_ = _id_of(delivery_id)
    match redeliver_webhook(services.database, services.clock, services.ids, calling_merchant(request), id_):
        case None:
            raise _not_found()
        case StillPending(next_attempt_at):
            when = f"at {format_time(next_attempt_at)}" if next_attempt_at is not None else "soon"
            detail = f"The delivery is pending, and its next attempt is made {when}. Nothing was changed. Wait for it."
            raise Problem(409, "webhook_delivery_pending", detail)
        case TooManyAttempts():
            detail = f"The delivery has had {ATTEMPTS_MAX} attempts, and no more are made. Nothing was changed."
            raise Problem(409, "webhook_delivery_exhausted", detail)
        case NoEndpoint():
            detail = (
                "The webhook endpoint is disabled, deleted, or no longer chooses this event. Nothing was changed. "
                "Enable it, or choose the event again."
            )
            raise Problem(409, "webhook_endpoint_unavailable", detail)
        case delivery:
            location = {"Location": public_path(request, f"{PREFIX}/{delivery.id}")}
            return Response(orjson.dumps(delivery_view(delivery)), 202, location, "application/json")


async def recover(request: Request, endpoint_id: str) -> Response:
    """Begin a recovery. Raises Problem (400, 404, 409, 413, 415, 422)."""
    services, id_ = request_context(request).services, _endpoint_id_of(endpoint_id)
    body = await read_model(request, RecoveryRequest)
    if body.since > services.clock.now():
        raise validation_failed([FieldError("since", "time_in_future", "Send a time that has passed.")])
    merchant_id = calling_merchant(request)
    match start_recovery(services.database, services.clock, services.ids, merchant_id, id_, body.since):
        case None:
            raise _no_such_endpoint()
        case EndpointDisabled():
            detail = "The webhook endpoint is disabled. Enable it, then recover."
            raise Problem(409, "webhook_endpoint_disabled", detail)
        case recovery:
            path = f"{ENDPOINTS}/{id_}/recoveries/{recovery.id}"
            location = {"Location": public_path(request, path)}
            return Response(orjson.dumps(recovery_view(recovery)), 202, location, "application/json")


def read_recovery(request: Request, endpoint_id: str, recovery_id: str) -> Response:
    """Return a recovery. Raises Problem (404)."""
    database = request_context(request).services.database
    id_ = parse_id(recovery_id)
    found = (
        None if id_ is None else read_progress(database, visible_merchant(request), _endpoint_id_of(endpoint_id), id_)
    )
    if found is None:
        raise Problem(404, "webhook_recovery_not_found", "No such recovery. Check the ids and the API key.")
    return json_response(recovery_view(found))


def _endpoint_id_of(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _no_such_endpoint()
    return id_


def _no_such_endpoint() -> Problem:
    return Problem(404, "webhook_endpoint_not_found", "No such webhook endpoint. Check the id and the API key.")


def _id_of(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _not_found() -> Problem:
    return Problem(404, "webhook_delivery_not_found", "No such delivery. Check the id and the API key.")
