"""Create, read and list refunds."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.commands import CommandKind, answer_command
from api.context import request_context, visible_merchant
from api.guarded_route import GuardedRoute
from api.idempotency import KeyedResource
from api.pages import count_fitting, json_response, page_response
from api.problems import Problem
from api.request.headers import preferred_wait_seconds
from api.request.parameters import PageQuery, parse_id
from api.request.query import check_query_string
from api.routes.payments.addresses import PaymentId, payment_id_of, payment_not_found
from api.routes.refunds import documentation
from api.routes.refunds.schemas import RefundListQuery, RefundRequest
from paybridge.payments.wait import Waiter
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import Refund, RefundFilters, RefundOrder, RefundPage, view_of
from paybridge.refunds.list_refunds import list_refunds, list_refunds_of_payment, shorten
from paybridge.refunds.read import read_refund, wait_for_refund

PREFIX = "/api/v1"
_CREATE = CommandKind(
    RefundRequest,
    refund_operation,
    create_refund,
    lambda body: {"order": RefundOrder(**body.model_dump())},
    KeyedResource(f"{PREFIX}/refunds", "refund_id", "refund", "created"),
)

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
RefundId = Annotated[str, Path(description="The refund's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix=PREFIX, tags=["refunds"], route_class=GuardedRoute)


@router.post("/payments/{payment_id}/refunds", status_code=202, **documentation.CREATE_REFUND)
async def create(request: Request, payment_id: PaymentId) -> Response:
    """Give money of a payment back: an amount, or all that is left.

    The amount is reserved at once, so refunds never exceed what was captured. The gateway is asked afterwards: follow
    the refund by webhook or read it with `Prefer: wait`.
    """
    return await answer_command(request, payment_id, _CREATE)


@router.get("/payments/{payment_id}/refunds", **documentation.LIST_REFUNDS_OF_PAYMENT)
async def list_of_payment(request: Request, payment_id: PaymentId, query: Annotated[PageQuery, Query()]) -> Response:
    """List the refunds of a payment, newest first."""
    merchant_id = visible_merchant(request)
    check_query_string(request.scope["query_string"])
    id_ = payment_id_of(payment_id)
    database = request_context(request).services.database
    page = list_refunds_of_payment(database, merchant_id, id_, cursor=query.cursor, limit=query.limit)
    if page is None:
        raise payment_not_found()
    return _page(page, merchant_id, RefundFilters(payment_id=id_))


@router.get("/refunds", **documentation.LIST_REFUNDS)
async def list_(request: Request, query: Annotated[RefundListQuery, Query()]) -> Response:
    """List refunds, newest first. Pages do not shift when new refunds arrive."""
    merchant_id = visible_merchant(request)
    check_query_string(request.scope["query_string"])
    filters = RefundFilters(
        payment_id=UUID(query.payment_id) if query.payment_id is not None else None,
        status=query.status,
        created_from=query.created_from,
        created_to=query.created_to,
    )
    database = request_context(request).services.database
    page = list_refunds(database, merchant_id, filters, cursor=query.cursor, limit=query.limit)
    return _page(page, merchant_id, filters)


@router.get("/refunds/{refund_id}", **documentation.READ_REFUND)
async def read(request: Request, refund_id: RefundId) -> Response:
    """Read a refund. With `Prefer: wait=N`, answer when it has settled, but after at most N seconds.

    If too many requests are waiting, the answer comes at once and without `Preference-Applied`.
    """
    services = request_context(request).services
    merchant_id = visible_merchant(request)
    id_ = _id_of(refund_id)
    wait_seconds = preferred_wait_seconds(", ".join(request.headers.getlist("prefer")))
    if wait_seconds is None:
        return json_response(view_of(_found(read_refund(services.database, merchant_id, id_))))
    waiter = Waiter(services.database, services.clock, asyncio.sleep, services.waits_max)
    waited = await wait_for_refund(waiter, merchant_id, id_, wait_seconds)
    applied = {"Preference-Applied": f"wait={wait_seconds}"} if waited.granted else None
    return json_response(view_of(_found(waited.found)), applied)


def _page(page: RefundPage, merchant_id: UUID | None, filters: RefundFilters) -> Response:
    views = [orjson.dumps(view_of(refund)) for refund in page.refunds]
    page = shorten(page, count_fitting(views), merchant_id, filters)
    return page_response(views[: len(page.refunds)], page.next_cursor)


def _id_of(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _found(refund: Refund | None) -> Refund:
    if refund is None:
        raise _not_found()
    return refund


def _not_found() -> Problem:
    return Problem(404, "refund_not_found", "No such refund. Check the id and the API key.")
