"""Answer the requests for events."""

from __future__ import annotations

import asyncio

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context, visible_merchant
from api.pages import count_fitting, json_response
from api.problems import Problem
from api.request.headers import preferred_wait_seconds
from api.request.parameters import parse_id
from api.routes.events.frames import view_bytes
from api.routes.events.requests import (
    EventPageQuery,
    EventQuery,
    last_event_id,
    parse_cursor,
    parse_payment_query,
    parse_query,
)
from api.routes.events.streams import STREAMED_EVENTS_MAX, StreamStep, stream_response
from api.routes.payments.addresses import payment_id_of, payment_not_found
from paybridge.feed.domain import FeedPage, Position, event_view
from paybridge.feed.follow_payment import follow_payment
from paybridge.feed.read_events import position_after, read_event, read_page, wait_for_events
from paybridge.payments.wait import Waiter
from paybridge.wiring.api import ApiServices


async def list_(request: Request) -> Response:
    """Return a page of events. Raises Problem (400, 401, 403, 422), InvalidInput and DatabaseUnavailable."""
    services, merchant_id = request_context(request).services, visible_merchant(request)
    query = parse_query(request, EventPageQuery)
    filters = query.filters()
    after_id = parse_cursor(query.after or query.cursor)
    after = position_after(services.database, merchant_id, after_id)
    wait_seconds = preferred_wait_seconds(", ".join(request.headers.getlist("prefer")))
    if wait_seconds is None:
        return _page_response(read_page(services.database, merchant_id, filters, after, query.limit), after)
    waited = await wait_for_events(
        _waiter(services), merchant_id, filters, after=after, limit=query.limit, wait_seconds=wait_seconds
    )
    applied = {"Preference-Applied": f"wait={wait_seconds}"} if waited.granted else None
    return _page_response(waited.found or FeedPage(after), after, applied)


def read(request: Request, event_id: str) -> Response:
    """Return an event. Raises Problem (401, 403, 404) and DatabaseUnavailable."""
    id_ = parse_id(event_id)
    database = request_context(request).services.database
    event = read_event(database, visible_merchant(request), id_) if id_ is not None else None
    if event is None:
        raise Problem(404, "event_not_found", "No such event. Check the id and the API key.")
    return json_response(event_view(event))


async def stream(request: Request) -> Response:
    """Stream events. Raises Problem (400, 401, 403, 422), InvalidInput and DatabaseUnavailable."""
    services, merchant_id = request_context(request).services, visible_merchant(request)
    query = parse_query(request, EventQuery)
    filters = query.filters()
    waiter = _waiter(services)

    async def source(after: Position, wait_seconds: float) -> StreamStep:
        waited = await wait_for_events(
            waiter, merchant_id, filters, after=after, limit=STREAMED_EVENTS_MAX, wait_seconds=wait_seconds
        )
        return StreamStep(waited.found or FeedPage(after), granted=waited.granted)

    after_id = last_event_id(request, query.after or query.cursor)
    return await stream_response(
        request, services.clock, source, position_after(services.database, merchant_id, after_id)
    )


async def stream_payment(request: Request, payment_id: str) -> Response:
    """Stream the events of a payment. Raises Problem (400, 401, 403, 404, 422), InvalidInput, DatabaseUnavailable."""
    services, merchant_id = request_context(request).services, visible_merchant(request)
    id_ = payment_id_of(payment_id)
    query = parse_payment_query(request)
    waiter = _waiter(services)

    async def source(after: Position, wait_seconds: float) -> StreamStep:
        waited = await follow_payment(
            waiter, merchant_id, id_, after=after, limit=STREAMED_EVENTS_MAX, wait_seconds=wait_seconds
        )
        if waited.found is None:
            raise payment_not_found()
        return StreamStep(waited.found.page, waited.found.is_over, waited.granted)

    after = position_after(services.database, merchant_id, last_event_id(request, query.after))
    return await stream_response(request, services.clock, source, after)


def _waiter(services: ApiServices) -> Waiter:
    return Waiter(services.database, services.clock, asyncio.sleep, services.waits_max)


def _page_response(page: FeedPage, after: Position, headers: dict[str, str] | None = None) -> Response:
    """Return a page with the cursor after it, which goes on with what does not exist yet."""
    views = [view_bytes(event) for event in page.events]
    page = page.first(count_fitting(views))
    is_at_start = page.end == after and after.event_id.int == 0
    content = {
        "data": [orjson.Fragment(view) for view in views[: len(page.events)]],
        "has_more": page.has_more,
        "next_cursor": None if is_at_start else str(page.end.event_id),
    }
    return json_response(content, headers)
