"""Answer the requests about payouts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import caller, calling_merchant, request_context, visible_merchant
from api.idempotency import KeyedResource, keyed_response
from api.pages import json_response, page_response
from api.problems import Problem, validation_failed
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type, fingerprint, parse_object
from api.request.model_body import read_query
from api.request.parameters import parse_id
from api.routes.payouts.schemas import PayoutListQuery, PayoutRequest, SettleRequest
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.fields import FieldError, validate
from paybridge.core.money import to_minor
from paybridge.ledger.create_payout import (
    Insufficient,
    KeyTaken,
    Ordered,
    PayoutOrder,
    PayoutResult,
    create_payout,
    find_earlier,
)
from paybridge.ledger.domain.accounts import format_signed
from paybridge.ledger.domain.payouts import PayoutFilters, PayoutKey, PayoutOutcome, payout_view
from paybridge.ledger.read_payouts import list_payouts, read_payout
from paybridge.ledger.settle_payout import AlreadySettled, settle_payout
from paybridge.payments.idempotency import Answered, KeyReused

_RESOURCE = KeyedResource("/api/v1/payouts", "payout_id", "payout", "ordered")


async def create(request: Request) -> Response:
    """Order a payout. Raises Problem (400, 409, 413, 415, 422) and InvalidInput."""
    context, merchant_id = request_context(request), calling_merchant(request)
    services = context.services
    key = parse_idempotency_key(single_header(request.headers, "Idempotency-Key"))
    members = await _members(request)
    payout_key = PayoutKey(key, fingerprint(members))
    wanted, faults = validate(PayoutRequest, members)
    if wanted is None:
        # A request that was accepted stays accepted when it is repeated, even if a rule has become stricter since.
        with suppress(DatabaseUnavailable):
            earlier = find_earlier(services.database, merchant_id, payout_key)
            if isinstance(earlier, Ordered):
                return _answer(request, earlier, "")
        raise validation_failed(faults)
    order = PayoutOrder(
        merchant_id=merchant_id,
        amount_minor=to_minor(wanted.amount, wanted.currency),
        currency=wanted.currency,
        key=payout_key,
        correlation_id=context.correlation_id,
    )
    return _answer(request, create_payout(services.database, services.clock, services.ids, order), wanted.currency)


def list_(request: Request) -> Response:
    """Return a page of payouts. Raises Problem (400, 422) and InvalidInput."""
    query = read_query(request, PayoutListQuery)
    filters = PayoutFilters(
        status=query.status, currency=query.currency, created_from=query.created_from, created_to=query.created_to
    )
    database = request_context(request).services.database
    page = list_payouts(database, visible_merchant(request), filters, cursor=query.cursor, limit=query.limit)
    return page_response([orjson.dumps(payout_view(payout)) for payout in page.payouts], page.next_cursor)


def read(request: Request, payout_id: str) -> Response:
    """Return a payout. Raises Problem (404)."""
    payout = read_payout(request_context(request).services.database, visible_merchant(request), _id_of(payout_id))
    if payout is None:
        raise _not_found()
    return json_response(payout_view(payout))


async def settle(request: Request, payout_id: str) -> Response:
    """Settle a payout. Raises Problem (400, 404, 409, 413, 415, 422)."""
    services = request_context(request).services
    id_ = _id_of(payout_id)
    wanted, faults = validate(SettleRequest, await _members(request))
    if wanted is None:
        raise validation_failed(faults)
    outcome = PayoutOutcome(wanted.outcome)
    settled = settle_payout(
        services.database, services.clock, services.ids, id_, outcome, wanted.reason, by=caller(request).actor
    )
    if settled is None:
        raise _not_found()
    if isinstance(settled, AlreadySettled):
        status = settled.payout.status
        detail = f"The payout is {status} already, and that is final. Nothing was changed."
        raise Problem(409, "payout_settled", detail, extensions={"payout_status": str(status)})
    return json_response(payout_view(settled))


async def _members(request: Request) -> dict[str, Any]:
    check_content_type(single_header(request.headers, "Content-Type"), request.headers.get("content-encoding"))
    return parse_object(await request.body())


def _answer(request: Request, result: PayoutResult, currency: str) -> Response:
    match result:
        case Ordered(payout, replayed):
            answered = Answered(payout.id, 202, orjson.dumps(payout_view(payout)), replayed)
            return keyed_response(request, answered, _RESOURCE)
        case KeyTaken(payout_id):
            return keyed_response(request, KeyReused(payout_id), _RESOURCE)
        case Insufficient(available_minor, places):
            available = format_signed(available_minor, places)
            detail = f"Only {available} {currency} is available. Nothing was ordered. Order less, or wait for payments."
            fault = FieldError("amount", "insufficient_balance", detail)
            raise Problem(422, "insufficient_balance", detail, errors=[fault], extensions={"available": available})


def _id_of(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _not_found() -> Problem:
    return Problem(404, "payout_not_found", "No such payout. Check the id and the API key.")
