"""Create, read and list payments, and read their timelines."""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.context import authenticate_merchant, calling_merchant, request_context
from api.idempotency import KeyedResource, keyed_response
from api.merchant_route import MerchantRoute
from api.pages import count_fitting
from api.plain_route import PlainRoute, read_body
from api.problems import Problem
from api.request.headers import parse_idempotency_key, preferred_wait_seconds, single_header
from api.request.json_body import check_content_type
from api.request.query import check_query_string
from api.routes.payments import documentation
from api.routes.payments.orders import parse_order
from api.routes.payments.schemas import PaymentListQuery
from paybridge.core.errors import DatabaseUnavailable, InvalidInput
from paybridge.payments.create import OPERATION as CREATE_PAYMENT
from paybridge.payments.create import create_payment
from paybridge.payments.domain.cursor import decode_position, encode_position
from paybridge.payments.domain.payment import Payment, payment_view
from paybridge.payments.domain.query import PaymentFilters, timeline_view
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed, find_earlier_answer
from paybridge.payments.list_payments import list_payments, render, shorten
from paybridge.payments.read import read_payment
from paybridge.payments.timeline import payment_timeline
from paybridge.payments.wait import Waiter, wait_for_payment

PREFIX = "/api/v1/payments"
_CREATED = KeyedResource(PREFIX, "payment_id", "payment", "created")

# uuid.UUID also reads braces, prefixes and missing hyphens, but a payment has one address.
_PAYMENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
PaymentId = Annotated[str, Path(description="The payment's id.", json_schema_extra={"format": "uuid"})]

TimelineCursor = Annotated[
    str | None,
    Query(description="The `next_cursor` of the previous page. Empty means the first page.", max_length=64),
]

router = APIRouter(prefix=PREFIX, tags=["payments"], route_class=MerchantRoute)


async def create(request: Request) -> Response:
    """Accept a payment. It is processed afterwards: follow it by webhook or read it with `Prefer: wait`."""
    context = request_context(request)
    headers = request.headers
    authenticate_merchant(request)
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
    merchant_id = calling_merchant(request)
    check_query_string(request.scope["query_string"])
    filters = PaymentFilters(**query.model_dump(exclude={"limit", "cursor"}))
    page = list_payments(context.services.database, merchant_id, filters, cursor=query.cursor, limit=query.limit)
    page, views = render(page, lambda payment: orjson.dumps(payment_view(payment)))
    page = shorten(page, count_fitting(views), merchant_id, filters)
    return _page(views[: len(page.payments)], page.next_cursor)


@router.get("/{payment_id}", **documentation.READ_PAYMENT)
async def read(request: Request, payment_id: PaymentId) -> Response:
    """Read a payment. With `Prefer: wait=N`, answer when it has settled, but after at most N seconds.

    If too many requests are waiting, the answer comes at once and without `Preference-Applied`.
    """
    context = request_context(request)
    merchant_id = calling_merchant(request)
    id_ = _parse_id(payment_id)
    services = context.services
    wait_seconds = preferred_wait_seconds(", ".join(request.headers.getlist("prefer")))
    if wait_seconds is None:
        return _json(payment_view(_found(read_payment(services.database, merchant_id, id_))))
    waiter = Waiter(services.database, services.clock, asyncio.sleep, services.waits_max)
    waited = await wait_for_payment(waiter, merchant_id, id_, wait_seconds)
    applied = {"Preference-Applied": f"wait={wait_seconds}"} if waited.granted else None
    return _json(payment_view(_found(waited.found)), applied)


@router.get("/{payment_id}/events", **documentation.READ_TIMELINE)
async def events(request: Request, payment_id: PaymentId, cursor: TimelineCursor = None) -> Response:
    """Read what happened to a payment, oldest first: events, relays, gateway attempts and webhook attempts."""
    id_ = _parse_id(payment_id)
    entries = payment_timeline(request_context(request).services.database, calling_merchant(request), id_)
    if entries is None:
        raise _not_found()
    begin = decode_position(cursor, str(id_)) if cursor else 0
    views = [orjson.dumps(timeline_view(entry)) for entry in entries[begin:]]
    end = begin + count_fitting(views)
    return _page(views[: end - begin], encode_position(end, str(id_)) if end < len(entries) else None)


def _parse_id(text: str) -> UUID:
    if not _PAYMENT_ID.fullmatch(text.lower()):
        raise _not_found()
    return UUID(text)


def _found(payment: Payment | None) -> Payment:
    if payment is None:
        raise _not_found()
    return payment


def _not_found() -> Problem:
    return Problem(404, "payment_not_found", "No such payment. Check the id and the API key.")


def _page(items: list[bytes], next_cursor: str | None) -> Response:
    data = [orjson.Fragment(item) for item in items]
    return _json({"data": data, "has_more": next_cursor is not None, "next_cursor": next_cursor})


def _json(value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), 200, headers, "application/json")
