"""Answer the requests about reviews."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context
from api.idempotency import KeyedResource, keyed_response
from api.pages import count_fitting
from api.problems import FieldError, Problem, validation_failed
from api.request.fields import shown_path
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type, parse_object
from api.request.query import check_query_string
from paybridge.access.domain import MAY_CHANGE_OPERATIONS, MAY_READ_PAYMENTS, Role
from paybridge.fraud.domain.reviews import NOTE_CHARACTERS_MAX, ReviewAnswer
from paybridge.payments.answer_reviews import NoSuchPayment, NotInReview, Reviewer, ReviewServices, answer_review
from paybridge.payments.list_reviews import list_reviews, shorten

_PAYMENTS = "/api/v1/payments"
_PAYMENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
_LIMIT_DEFAULT = 20
_CURSOR_CHARACTERS_MAX = 64
_DID = {ReviewAnswer.APPROVED: "approved", ReviewAnswer.REJECTED: "rejected"}


async def approve(request: Request, payment_id: str) -> Response:
    """Approve a payment. Raises Problem (400, 401, 403, 404, 409, 413, 415, 422)."""
    return await _answer(request, payment_id, ReviewAnswer.APPROVED)


async def reject(request: Request, payment_id: str) -> Response:
    """Reject a payment. Raises Problem (400, 401, 403, 404, 409, 413, 415, 422)."""
    return await _answer(request, payment_id, ReviewAnswer.REJECTED)


def list_(request: Request) -> Response:
    """Return a page of payments in review. Raises Problem (400, 401, 403, 422)."""
    context = request_context(request)
    context.authenticator.staff(request.headers, MAY_READ_PAYMENTS)
    check_query_string(request.scope["query_string"])
    cursor, limit = _page(request.scope["query_string"])
    page = list_reviews(context.services.database, cursor=cursor, limit=limit)
    views = [orjson.dumps(review.view()) for review in page.reviews]
    page = shorten(page, count_fitting(views))
    body = {
        "data": [orjson.Fragment(view) for view in views[: len(page.reviews)]],
        "has_more": page.next_cursor is not None,
        "next_cursor": page.next_cursor,
    }
    return Response(orjson.dumps(body), 200, media_type="application/json")


async def _answer(request: Request, payment_id: str, answer: ReviewAnswer) -> Response:
    context = request_context(request)
    reviewer = _reviewer(request)
    key = parse_idempotency_key(single_header(request.headers, "Idempotency-Key"))
    check_content_type(single_header(request.headers, "Content-Type"), request.headers.get("content-encoding"))
    id_, note = _parse_id(payment_id), _parse_note(await request.body())
    services = context.services
    outcome = answer_review(
        ReviewServices(services.database, services.clock, services.ids), id_, answer, reviewer, key=key, note=note
    )
    match outcome:
        case NoSuchPayment():
            raise _not_found()
        case NotInReview(status):
            detail = f"The payment is {status} and does not wait for a review. Nothing was changed. Read the payment."
            raise Problem(409, "payment_not_in_review", detail, extensions={"payment_status": str(status)})
        case _:
            return keyed_response(request, outcome, KeyedResource(_PAYMENTS, "payment_id", "payment", _DID[answer]))


def _reviewer(request: Request) -> Reviewer:
    authenticator = request_context(request).authenticator
    principal = authenticator.principal(request.headers)
    if principal.role is Role.MERCHANT:
        return Reviewer(f"merchant key {principal.key_id}", authenticator.merchant(request.headers))
    authenticator.staff(request.headers, MAY_CHANGE_OPERATIONS | {Role.MERCHANT})
    return Reviewer(f"{principal.role} key {principal.key_id}", None)


def _parse_note(body: bytes) -> str | None:
    """Return the note in a body, which may be empty. Raises Problem (400, 413, 422)."""
    if not body:
        return None
    members = parse_object(body)
    faults = [
        FieldError(shown_path([name]), "unknown_member", "Unknown field. Remove it or check its spelling.")
        for name in sorted(members.keys() - {"note"})
    ]
    note = members.get("note")
    if note is not None and (not isinstance(note, str) or not 1 <= len(note) <= NOTE_CHARACTERS_MAX):
        faults.append(FieldError("note", "note_invalid", f"Send a note of 1 to {NOTE_CHARACTERS_MAX} characters."))
    if faults:
        raise validation_failed(faults)
    return note


def _page(raw_query: bytes) -> tuple[str | None, int]:
    """Return the cursor and the size of the page. Raises Problem (422)."""
    members = dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True))
    faults = [
        FieldError(shown_path([name]), "unknown_member", "Unknown field. Remove it or check its spelling.")
        for name in sorted(members.keys() - {"cursor", "limit"})
    ]
    limit, cursor = members.get("limit", str(_LIMIT_DEFAULT)), members.get("cursor", "")
    if not _PAGE_SIZE.fullmatch(limit):
        faults.append(FieldError("limit", "limit_invalid", "Send a whole number from 1 to 100."))
    if len(cursor) > _CURSOR_CHARACTERS_MAX:
        faults.append(FieldError("cursor", "cursor_invalid", "Send a next_cursor of this list unchanged, or none."))
    if faults:
        raise validation_failed(faults)
    return cursor or None, int(limit)


def _parse_id(text: str) -> UUID:
    if not _PAYMENT_ID.fullmatch(text.lower()):
        raise _not_found()
    return UUID(text)


def _not_found() -> Problem:
    return Problem(404, "payment_not_found", "No such payment. Check the id and the API key.")
