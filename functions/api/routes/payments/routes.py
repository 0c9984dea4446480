"""Create, read and list payments, and read their timelines."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.context import calling_merchant, request_context, visible_merchant
from api.guarded_route import GuardedRoute
from api.idempotency import KeyedResource, keyed_response
from api.pages import count_fitting, json_response, page_response
from api.plain_route import PlainRoute, read_body
from api.problems import Problem
from api.request.headers import parse_idempotency_key, preferred_wait_seconds, single_header
from api.request.json_body import check_content_type
from api.request.query import check_query_string
from api.routes.payments import documentation
from api.routes.payments.addresses import PREFIX, PaymentId, payment_id_of, payment_not_found
from api.routes.payments.orders import parse_order
from api.routes.payments.schemas import PaymentListQuery
from paybridge.core.cursor import decode_position, encode_position
from paybridge.core.errors import DatabaseUnavailable, InvalidInput
from paybridge.payments.create import OPERATION as CREATE_PAYMENT
from paybridge.payments.create import create_payment
from paybridge.payments.domain.payment import Payment, payment_view
from paybridge.payments.domain.query import PaymentFilters, timeline_view
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed, find_earlier_answer
from paybridge.payments.list_payments import list_payments, render, shorten
from paybridge.payments.read import read_payment
from paybridge.payments.timeline import payment_timeline
from paybridge.payments.wait import Waiter, wait_for_payment

_CREATED = KeyedResource(PREFIX, "payment_id", "payment", "created")

TimelineCursor = Annotated[
    str | None,
    Query(description="The `next_cursor` of the previous page. Empty means the first page.", max_length=64),
]

router = APIRouter(prefix=PREFIX, tags=["payments"], route_class=GuardedRoute)


async def create(request: Request) -> Response:
    """Accept a payment. It is processed afterwards: follow it by webhook or read it with `Prefer: wait`."""
    context = request_context(request)
    headers = request.headers
    merchant_id = calling_merchant(request)
    key = parse_idempotency_key(single_header(headers, "Idempotency-Key"))
    check_content_type(single_header(headers, "Content-Type"), headers.get("content-encoding"))
    body = await read_body(request)
    services = context.services
    keyed = IdempotentRequest(key, hashlib.sha256(body).digest())
    try:
        order = parse_order(body, local_webhook_networks=services.local_webhook_networks)
    except (Problem, InvalidInput):
        with suppress(DatabaseUnavailable):
            earlier = find_earlier_answer(services.database, Keyed(merchant_id, CREATE_PAYMENT, keyed))
            if earlier is not None:
                return keyed_response(request, earlier, _CREATED)
        raise
    outcome = create_payment(
        services.database,
        services.clock,
        services.ids,
        merchant_id=merchant_id,
        order=order,
        request=keyed,
        correlation_id=context.correlation_id,
    )
    context.has_accepted = isinstance(outcome, Answered) and not outcome.replayed
    return keyed_response(request, outcome, _CREATED)


router.add_api_route(
    "", create, methods=["POST"], status_code=202, route_class_override=PlainRoute, **documentation.CREATE_PAYMENT
)


@router.get("", **documentation.LIST_PAYMENTS)
async def list_(request: Request, query: Annotated[PaymentListQuery, Query()]) -> Response:
    """List payments, newest first. Pages do not shift when new payments arrive."""
    context = request_context(request)
    merchant_id = visible_merchant(request)
    check_query_string(request.scope["query_string"])
    filters = PaymentFilters(**query.model_dump(exclude={"limit", "cursor"}))
    page = list_payments(context.services.database, merchant_id, filters, cursor=query.cursor, limit=query.limit)
    page, views = render(page, lambda payment: orjson.dumps(payment_view(payment)))
    page = shorten(page, count_fitting(views), merchant_id, filters)
    return page_response(views[: len(page.payments)], page.next_cursor)


@router.get("/{payment_id}", **documentation.READ_PAYMENT)
async def read(request: Request, payment_id: PaymentId) -> Response:
    """Read a payment. With `Prefer: wait=N`, answer when it has settled, but after at most N seconds.

    If too many requests are waiting, the answer comes at once and without `Preference-Applied`.
    """
    context = request_context(request)
    merchant_id = visible_merchant(request)
    id_ = payment_id_of(payment_id)
    services = context.services
    wait_seconds = preferred_wait_seconds(", ".join(request.headers.getlist("prefer")))
    if wait_seconds is None:
        return json_response(payment_view(_found(read_payment(services.database, merchant_id, id_))))
    waiter = Waiter(services.database, services.clock, asyncio.sleep, services.waits_max)
    waited = await wait_for_payment(waiter, merchant_id, id_, wait_seconds)
    applied = {"Preference-Applied": f"wait={wait_seconds}"} if waited.granted else None
    return json_response(payment_view(_found(waited.found)), applied)


@router.get("/{payment_id}/events", **documentation.READ_TIMELINE)
async def events(request: Request, payment_id: PaymentId, cursor: TimelineCursor = None) -> Response:
    """Read what happened to a payment, oldest first: events, relays, gateway attempts and webhook attempts."""
    id_ = payment_id_of(payment_id)
    entries = payment_timeline(request_context(request).services.database, visible_merchant(request), id_)
    if entries is None:
        raise payment_not_found()
    begin = decode_position(cursor, str(id_)) if cursor else 0
    views = [orjson.dumps(timeline_view(entry)) for entry in entries[begin:]]
    end = begin + count_fitting(views)
    return page_response(views[: end - begin], encode_position(end, str(id_)) if end < len(entries) else None)


def _found(payment: Payment | None) -> Payment:
    if payment is None:
        raise payment_not_found()
    return payment
