"""Answer the requests about reviews."""

from __future__ import annotations

from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import caller, request_context, visible_merchant
from api.idempotency import KeyedResource, keyed_response
from api.pages import count_fitting, page_response
from api.problems import Problem, validation_failed
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type, parse_object
from api.request.parameters import PageQuery
from api.request.query import check_query_string
from api.routes.payments.addresses import PREFIX, payment_id_of, payment_not_found
from paybridge.core.fields import FieldError, shown_path, validate
from paybridge.fraud.domain.reviews import NOTE_CHARACTERS_MAX, ReviewAnswer
from paybridge.payments.answer_reviews import NoSuchPayment, NotInReview, Reviewer, ReviewServices, answer_review
from paybridge.payments.list_reviews import list_reviews, shorten

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
    check_query_string(request.scope["query_string"])
    query = _page(request.scope["query_string"])
    page = list_reviews(context.services.database, cursor=query.cursor, limit=query.limit)
    views = [orjson.dumps(review.view()) for review in page.reviews]
    page = shorten(page, count_fitting(views))
    return page_response(views[: len(page.reviews)], page.next_cursor)


async def _answer(request: Request, payment_id: str, answer: ReviewAnswer) -> Response:
    context = request_context(request)
    reviewer = _reviewer(request)
    key = parse_idempotency_key(single_header(request.headers, "Idempotency-Key"))
    check_content_type(single_header(request.headers, "Content-Type"), request.headers.get("content-encoding"))
    id_, note = payment_id_of(payment_id), _parse_note(await request.body())
    services = context.services
    outcome = answer_review(
        ReviewServices(services.database, services.clock, services.ids), id_, answer, reviewer, key=key, note=note
    )
    match outcome:
        case NoSuchPayment():
            raise payment_not_found()
        case NotInReview(status):
            detail = f"The payment is {status} and does not wait for a review. Nothing was changed. Read the payment."
            raise Problem(409, "payment_not_in_review", detail, extensions={"payment_status": str(status)})
        case _:
            return keyed_response(request, outcome, KeyedResource(PREFIX, "payment_id", "payment", _DID[answer]))


def _reviewer(request: Request) -> Reviewer:
    return Reviewer(caller(request).actor, visible_merchant(request))


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


def _page(raw_query: bytes) -> PageQuery:
    """Return which page is asked for. Raises Problem (422)."""
    page, faults = validate(PageQuery, dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True)))
    if page is None:
        raise validation_failed(faults)
    return page
