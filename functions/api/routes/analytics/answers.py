"""Answer the requests about the figures of days and months."""

from __future__ import annotations

from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context, visible_merchant
from api.pages import count_fitting, page_response
from api.problems import validation_failed
from api.request.accept import prefers
from api.request.model_body import read_query
from api.routes.analytics.schemas import FiguresQuery
from paybridge.analytics.domain import Wanted, csv_lines
from paybridge.analytics.read_figures import Period, cursor_after, json_view, range_of, read_figures
from paybridge.core.errors import InvalidInput
from paybridge.core.fields import FieldError

# About 2 MB. A year of one merchant in ten currencies has a third of the rows.
CSV_ROWS_MAX = 10_000
_VARY = {"Vary": "Accept"}


def daily(request: Request) -> Response:
    """Return a page of days, or all of them as CSV. Raises Problem (400, 422) and InvalidInput."""
    return _answer(request, Period.DAY)


def monthly(request: Request) -> Response:
    """Return a page of months, or all of them as CSV. Raises Problem (400, 422) and InvalidInput."""
    return _answer(request, Period.MONTH)


def _answer(request: Request, period: Period) -> Response:
    query = read_query(request, FiguresQuery)
    wanted = _wanted(request, query)
    if wanted is None:
        return page_response([], None)
    accepted = ", ".join(request.headers.getlist("accept"))
    if prefers(accepted, "text/csv", "application/json"):
        return _csv(request, period, wanted)
    return _page(request, period, wanted, query)


def _page(request: Request, period: Period, wanted: Wanted, query: FiguresQuery) -> Response:
    database = request_context(request).services.database
    page = read_figures(database, period, wanted, cursor=query.cursor, limit=query.limit)
    views = [orjson.dumps(json_view(period.view(figures))) for figures in page.figures]
    count = count_fitting(views)
    next_cursor = page.next_cursor if count == len(views) else cursor_after(page.figures[count - 1])
    answer = page_response(views[:count], next_cursor)
    answer.headers.update(_VARY)
    return answer


def _csv(request: Request, period: Period, wanted: Wanted) -> Response:
    database = request_context(request).services.database
    page = read_figures(database, period, wanted, cursor=None, limit=CSV_ROWS_MAX)
    if page.next_cursor is not None:
        detail = f"There are more than {CSV_ROWS_MAX} rows. Name a merchant, a currency or fewer days."
        raise validation_failed([FieldError("from", "range_invalid", detail)])
    lines = csv_lines(period.columns, map(period.view, page.figures))
    return Response("\r\n".join([*lines, ""]), 200, _VARY, "text/csv")


def _wanted(request: Request, query: FiguresQuery) -> Wanted | None:
    """Return what is asked for; None if a merchant asks for another's figures, of which it sees none."""
    own = visible_merchant(request)
    named = None if query.merchant_id is None else UUID(query.merchant_id)
    if own is not None and named not in {None, own}:
        return None
    today = request_context(request).services.clock.now().date()
    try:
        first, last = range_of(query.first, query.last, today)
    except InvalidInput as error:
        raise validation_failed([FieldError(error.field or "from", error.code, error.detail)]) from error
    return Wanted(first=first, last=last, merchant_id=own or named, currency=query.currency)
