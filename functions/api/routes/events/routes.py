"""List and read events, and stream them as server-sent events.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.events import documentation
from api.routes.payments.addresses import PaymentId

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
EventId = Annotated[str, Path(description="The event's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1", tags=["events"], route_class=GuardedRoute)


@router.get("/events", **documentation.LIST_EVENTS)
async def list_(request: Request) -> Response:
    """List events, oldest first. With `Prefer: wait=N`, an empty page waits up to N seconds for the first event.

    To follow all events, send the `next_cursor` of each page as `after` in the next request. No event is skipped or
    repeated, whatever was written at the same time.
    """
    from api.routes.events import answers

    return await answers.list_(request)


# Before the route of one event, which would take `stream` for an id.
@router.get("/events/stream", **documentation.STREAM_EVENTS)
async def stream(request: Request) -> Response:
    """Stream events, oldest first, as server-sent events.

    Each answer has the events after `Last-Event-ID` as soon as there are any, and then ends. An EventSource
    reconnects and resumes where it stopped.
    """
    from api.routes.events import answers

    return await answers.stream(request)


@router.get("/events/{event_id}", **documentation.READ_EVENT)
async def read(request: Request, event_id: EventId) -> Response:
    """Read an event."""
    from api.routes.events import answers

    return answers.read(request, event_id)


@router.get("/payments/{payment_id}/stream", **documentation.STREAM_PAYMENT)
async def stream_payment(request: Request, payment_id: PaymentId) -> Response:
    """Stream the events of a payment and its refunds, oldest first, until the payment is final.

    The answer 204 ends an EventSource: the payment is final, and all of its events were read.
    """
    from api.routes.events import answers

    return await answers.stream_payment(request, payment_id)
