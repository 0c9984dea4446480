"""Answer the requests about rebuilds and books."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import RequestContext, caller, public_path, request_context
from api.problems import Problem, validation_failed
from api.request.json_body import check_content_type
from api.request.parameters import PageQuery, parse_id
from api.request.query import check_query_string
from api.routes.rebuilds.requests import parse_start, parse_switch
from paybridge.core.archived_months import MonthsArchived
from paybridge.core.fields import validate
from paybridge.ledger.cancel_rebuild import RebuildEnded, cancel_rebuild
from paybridge.ledger.drop_book import BookInUse, BookUnknown, drop_book
from paybridge.ledger.list_rebuilds import list_books, list_rebuilds
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.rebuild import REQUEST_SECONDS_MAX, TooManyRebuilds, read_rebuild, start_rebuild, work_on
from paybridge.ledger.switch import RebuildUnknown, SwitchRefused, switch_books
from paybridge.wiring.rebuilds import services_over

REBUILDS = "/api/v1/ops/ledger/rebuilds"
_BOOK = re.compile(r"[1-9][0-9]{0,4}")
_BOOK_MAX = 2**15 - 1


async def start(request: Request) -> Response:
    """Begin a rebuild and do its first part. Raises Problem (400, 409, 413, 415, 422)."""
    services = _services(request_context(request))
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    wanted = parse_start(await request.body(), services.rules_version)
    try:
        begun = start_rebuild(
            services, actor=caller(request).actor, switch=wanted.switch, wait_seconds=wanted.wait_seconds
        )
    except MonthsArchived as error:
        raise Problem(409, "months_archived", str(error)) from None
    except TooManyRebuilds:
        detail = (
            "Two rebuilds are running. Each fills the disk with another book. Wait for one to finish, or cancel one."
        )
        raise Problem(409, "too_many_rebuilds", detail) from None
    rebuild = work_on(services, begun.id, REQUEST_SECONDS_MAX) or begun
    return _json(rebuild.view(), 202, {"Location": public_path(request, f"{REBUILDS}/{rebuild.id}")})


def list_(request: Request) -> Response:
    """Return a page of rebuilds. Raises Problem (400, 422)."""
    context = request_context(request)
    check_query_string(request.scope["query_string"])
    query, faults = validate(PageQuery, dict(parse_qsl(request.scope["query_string"].decode("ascii"))))
    if query is None:
        raise validation_failed(faults)
    page = list_rebuilds(context.services.database, cursor=query.cursor, limit=query.limit)
    return _json(
        {
            "data": [rebuild.view() for rebuild in page.rebuilds],
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }
    )


def read(request: Request, rebuild_id: str) -> Response:
    """Return a rebuild after some more work on it. Raises Problem (404)."""
    id_ = parse_id(rebuild_id)
    rebuild = None if id_ is None else read_rebuild(_services(request_context(request)), id_)
    if rebuild is None:
        raise _rebuild_not_found()
    return _json(rebuild.view())


def cancel(request: Request, rebuild_id: str) -> Response:
    """Cancel a rebuild. Raises Problem (404, 409)."""
    id_ = parse_id(rebuild_id)
    if id_ is None:
        raise _rebuild_not_found()
    try:
        rebuild = cancel_rebuild(_services(request_context(request)), id_, caller(request).actor)
    except RebuildUnknown:
        raise _rebuild_not_found() from None
    except RebuildEnded:
        detail = "The rebuild is finished or has failed. There is nothing to cancel."
        raise Problem(409, "rebuild_ended", detail) from None
    return _json(rebuild.view())


async def switch(request: Request, rebuild_id: str) -> Response:
    """Switch to a rebuilt book. Raises Problem (400, 404, 409, 413, 415, 422)."""
    services = _services(request_context(request))
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    reason = parse_switch(await request.body())
    id_ = parse_id(rebuild_id)
    if id_ is None:
        raise _rebuild_not_found()
    try:
        rebuild = switch_books(services, id_, actor=caller(request).actor, accept_differences=reason)
    except RebuildUnknown:
        raise _rebuild_not_found() from None
    except SwitchRefused as refused:
        raise Problem(409, refused.code, str(refused)) from None
    return _json(rebuild.view())


def books(request: Request) -> Response:
    """Return all books."""
    found = list_books(request_context(request).services.database)
    return _json({"data": [book.view() for book in found], "has_more": False, "next_cursor": None})


def drop(request: Request, book: str) -> Response:
    """Drop a book. Raises Problem (404, 409)."""
    if not _BOOK.fullmatch(book) or int(book) > _BOOK_MAX:
        raise _book_not_found()
    try:
        is_gone = drop_book(request_context(request).services.database, int(book), REQUEST_SECONDS_MAX)
    except BookUnknown:
        raise _book_not_found() from None
    except BookInUse as in_use:
        raise Problem(409, "book_in_use", str(in_use)) from None
    return Response(status_code=204) if is_gone else _json({"book": int(book), "state": "dropping"}, 202)


def _services(context: RequestContext) -> RebuildServices:
    return services_over(context.services.database, context.services.clock, context.services.ids)


def _rebuild_not_found() -> Problem:
    return Problem(404, "rebuild_not_found", "No such rebuild. Check the id.")


def _book_not_found() -> Problem:
    return Problem(404, "book_not_found", "No such book. Check the number.")


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
