"""Answer where a payment is and why."""

from __future__ import annotations

from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context
from api.pages import count_fitting
from api.problems import Problem
from api.request.parameters import parse_id
from paybridge.payments.diagnose import diagnose_payment, diagnosis_view
from paybridge.payments.domain.query import timeline_view


def show(request: Request, payment_id: str) -> Response:
    """Show a payment to an operator. A timeline that is too long for one answer lacks its oldest entries."""
    context = request_context(request)
    found = diagnose_payment(context.services.database, context.services.clock, _parse_id(payment_id))
    if found is None:
        raise _not_found()
    entries = [orjson.dumps(timeline_view(entry)) for entry in reversed(found.timeline)]
    shown = [orjson.Fragment(entry) for entry in reversed(entries[: count_fitting(entries)])]
    answer = {**diagnosis_view(found), "timeline": shown, "is_timeline_whole": len(shown) == len(entries)}
    return Response(orjson.dumps(answer), media_type="application/json")


def _parse_id(text: str) -> UUID:
    id_ = parse_id(text)
    if id_ is None:
        raise _not_found()
    return id_


def _not_found() -> Problem:
    return Problem(404, "payment_not_found", "There is no such payment. Check the id.")
