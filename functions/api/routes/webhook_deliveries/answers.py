"""Answer the requests about deliveries of webhooks."""

from __future__ import annotations

from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import calling_merchant, public_path, request_context, visible_merchant
from api.pages import json_response
from api.problems import Problem
from api.request.parameters import parse_id
from paybridge.core.times import format_time
from paybridge.webhooks.domain.delivery_log import delivery_view, record_view
from paybridge.webhooks.read_deliveries import read_delivery
from paybridge.webhooks.redeliver import ATTEMPTS_MAX, StillPending, TooManyAttempts, redeliver_webhook

PREFIX = "/api/v1/webhook-deliveries"


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
        case delivery:
            location = {"Location": public_path(request, f"{PREFIX}/{delivery.id}")}
            return Response(orjson.dumps(delivery_view(delivery)), 202, location, "application/json")


def _id_of(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _not_found() -> Problem:
    return Problem(404, "webhook_delivery_not_found", "No such delivery. Check the id and the API key.")
