"""Answer the requests about corrections."""

from __future__ import annotations

from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import caller, request_context
from api.idempotency import KeyedResource, keyed_response
from api.pages import json_response, page_response
from api.problems import Problem, validation_failed
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type, fingerprint, parse_object
from api.request.model_body import read_query
from api.request.parameters import PageQuery, parse_id
from api.routes.corrections.schemas import CorrectionRequest
from paybridge.core.errors import InvalidInput
from paybridge.core.fields import validate
from paybridge.ledger.correct_journal import CorrectionKeyTaken, CorrectionOrder, correct_journal
from paybridge.ledger.domain.corrections import CorrectionKey
from paybridge.ledger.read_corrections import list_corrections, read_correction
from paybridge.payments.idempotency import Answered, KeyReused

_RESOURCE = KeyedResource("/api/v1/ops/ledger/corrections", "correction_id", "correction", "ordered")


async def create(request: Request) -> Response:
    """Take a journal back. Raises Problem (400, 409, 413, 415, 422)."""
    services = request_context(request).services
    key = parse_idempotency_key(single_header(request.headers, "Idempotency-Key"))
    check_content_type(single_header(request.headers, "Content-Type"), request.headers.get("content-encoding"))
    members = parse_object(await request.body())
    wanted, faults = validate(CorrectionRequest, members)
    if wanted is None:
        raise validation_failed(faults)
    order = CorrectionOrder(
        event_id=UUID(wanted.event_id),
        reason=wanted.reason,
        actor=caller(request).actor,
        key=CorrectionKey(key, fingerprint(members)),
    )
    try:
        result = correct_journal(services.database, services.clock, services.ids, order)
    except InvalidInput as error:
        if error.code == "journal_corrected":
            raise Problem(409, error.code, f"{error.detail} Nothing was changed.") from None
        raise
    if isinstance(result, CorrectionKeyTaken):
        return keyed_response(request, KeyReused(result.correction_id), _RESOURCE)
    body = orjson.dumps(result.correction.view())
    return keyed_response(request, Answered(result.correction.id, 201, body, result.replayed), _RESOURCE)


def list_(request: Request) -> Response:
    """Return a page of corrections. Raises Problem (400, 422) and InvalidInput."""
    query = read_query(request, PageQuery)
    page = list_corrections(request_context(request).services.database, cursor=query.cursor, limit=query.limit)
    return page_response([orjson.dumps(each.view()) for each in page.corrections], page.next_cursor)


def read(request: Request, correction_id: str) -> Response:
    """Return a correction. Raises Problem (404)."""
    id_ = parse_id(correction_id)
    found = None if id_ is None else read_correction(request_context(request).services.database, id_)
    if found is None:
        raise Problem(404, "correction_not_found", "No such correction. Check the id.")
    return json_response(found.view())
