"""Answer the requests about reconciliations and breaks."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import caller, public_path, request_context
from api.problems import Problem, validation_failed
from api.request.accept import prefers
from api.request.json_body import check_content_encoding, check_content_type
from api.request.query import check_query_string
from api.routes.reconciliations.documentation import STATEMENT_BYTES_MAX, STATEMENT_MEDIA_TYPE
from api.routes.reconciliations.requests import parse_breaks, parse_day, parse_decision, parse_import, parse_page
from paybridge.core.archived_months import MonthsArchived
from paybridge.core.errors import InvalidInput
from paybridge.core.fields import FieldError
from paybridge.reconciliation.breaks_csv import csv_lines
from paybridge.reconciliation.csv_statement import StatementInvalid
from paybridge.reconciliation.decide_breaks import decide_break, list_breaks
from paybridge.reconciliation.decide_breaks import read_break as find_break
from paybridge.reconciliation.domain.breaks import EXPLAIN, RESOLVE, VOID, BreakClosed, BreakDecision, break_view
from paybridge.reconciliation.domain.run import BreakCounts, Run, RunState, run_view
from paybridge.reconciliation.import_statement import import_statement
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import (
    REQUEST_SECONDS_MAX,
    count_breaks,
    find_reconciliation,
    list_reconciliations,
    start_reconciliation,
    work_on,
)
from paybridge.wiring import reconciliation as wiring

# About 4 MB. The next part begins after the last break's id, as `cursor`.
CSV_ROWS_MAX = 10_000
_VARY = {"Vary": "Accept"}


async def start(request: Request) -> Response:
    """Start to reconcile a day."""
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    day = parse_day(await request.body())
    services = _services(request)
    try:
        run = start_reconciliation(services, day, caller(request).actor)
    except InvalidInput as error:
        raise validation_failed([FieldError(error.field or "date", error.code, error.detail)]) from None
    except MonthsArchived as error:
        raise Problem(409, "months_archived", str(error)) from None
    return _started(request, services, run)


async def import_(request: Request) -> Response:
    """Import a statement and start to reconcile its day."""
    check_query_string(request.scope["query_string"])
    day, gateway = parse_import(request.scope["query_string"])
    check_content_encoding(request.headers.get("content-encoding"))
    media_type = request.headers.get("content-type", STATEMENT_MEDIA_TYPE).partition(";")[0].strip().lower()
    if media_type != STATEMENT_MEDIA_TYPE:
        detail = "The content type is not supported. Send the statement as text/csv."
        raise Problem(415, "content_type_unsupported", detail)
    body = await request.body()
    if len(body) > STATEMENT_BYTES_MAX:
        raise Problem(413, "body_too_large", f"The statement has more than {STATEMENT_BYTES_MAX} bytes.")
    services = _services(request)
    try:
        run = import_statement(services, day, gateway, body, caller(request).actor)
    except StatementInvalid as error:
        faults = [FieldError(f"line {each.line}", "line_invalid", f"{each.error}.") for each in error.errors]
        raise validation_failed(faults) from None
    except InvalidInput as error:
        raise validation_failed([FieldError(error.field or "date", error.code, error.detail)]) from None
    except MonthsArchived as error:
        raise Problem(409, "months_archived", str(error)) from None
    return _started(request, services, run)


def list_(request: Request) -> Response:
    """List reconciliations."""
    check_query_string(request.scope["query_string"])
    before, limit = parse_page(request.scope["query_string"])
    found = list_reconciliations(_services(request), before, limit + 1)
    has_more = len(found) > limit
    views = [run_view(*each) for each in found[:limit]]
    next_cursor = found[limit - 1][0].day.isoformat() if has_more else None
    return _json({"data": views, "has_more": has_more, "next_cursor": next_cursor})


async def read(request: Request, reconciliation_id: str) -> Response:
    """Read a reconciliation, after some more work on it."""
    services = _services(request)
    run, counts = _found(services, reconciliation_id)
    if run.state is RunState.RUNNING:
        await work_on(services, run.id, REQUEST_SECONDS_MAX)
        run, counts = _found(services, reconciliation_id)
    return _json(run_view(run, counts))


def breaks(request: Request, reconciliation_id: str) -> Response:
    """List the breaks of a reconciliation."""
    check_query_string(request.scope["query_string"])
    query = parse_breaks(request.scope["query_string"])
    services = _services(request)
    run, _ = _found(services, reconciliation_id)
    is_csv = prefers(", ".join(request.headers.getlist("accept")), "text/csv", "application/json")
    limit = CSV_ROWS_MAX if is_csv else query.limit
    found = list_breaks(services, run.id, query.after, limit + 1, state=query.state, type_=query.type_)
    shown, has_more = found[:limit], len(found) > limit
    now = services.clock.now()
    next_cursor = str(shown[-1].id) if has_more else None
    if is_csv:
        filters = {"state": query.state, "type": query.type_, "cursor": next_cursor}
        parameters = urlencode({name: value for name, value in filters.items() if value is not None})
        path = public_path(request, f"/api/v1/ops/reconciliations/{run.id}/breaks?{parameters}")
        headers = {**_VARY, **({"Link": f'<{path}>; rel="next"'} if has_more else {})}
        return Response("\r\n".join([*csv_lines(shown, now), ""]), 200, headers, "text/csv")
    views = [break_view(each, now) for each in shown]
    answer = _json({"data": views, "has_more": has_more, "next_cursor": next_cursor})
    answer.headers.update(_VARY)
    return answer


def read_break(request: Request, break_id: str) -> Response:
    """Read a break."""
    services = _services(request)
    return _break(services, _parse_id(break_id, _no_break))


async def resolve(request: Request, break_id: str) -> Response:
    """Resolve a break."""
    return await _decide(request, break_id, RESOLVE)


async def explain(request: Request, break_id: str) -> Response:
    """Explain a break."""
    return await _decide(request, break_id, EXPLAIN)


async def void(request: Request, break_id: str) -> Response:
    """Void a break."""
    return await _decide(request, break_id, VOID)


async def _decide(request: Request, break_id: str, decision: BreakDecision) -> Response:
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    id_ = _parse_id(break_id, _no_break)
    wanted = parse_decision(await request.body(), decision)
    services = _services(request)
    try:
        changed = decide_break(services, id_, wanted.decision, wanted.note, caller(request).actor)
    except BreakClosed as error:
        raise Problem(409, "break_closed", str(error)) from None
    if changed is None:
        raise _no_break()
    return _break(services, id_)


def _break(services: ReconciliationServices, id_: UUID) -> Response:
    found = find_break(services, id_)
    if found is None:
        raise _no_break()
    stored, actions = found
    return _json(break_view(stored, services.clock.now()) | {"actions": [each.view() for each in actions]})


def _services(request: Request) -> ReconciliationServices:
    services = request_context(request).services
    return wiring.services_of_api(services.database, services.clock, services.ids, services.gateway_names)


def _found(services: ReconciliationServices, text: str) -> tuple[Run, BreakCounts]:
    found = find_reconciliation(services, _parse_id(text, _no_reconciliation))
    if found is None:
        raise _no_reconciliation()
    return found


def _started(request: Request, services: ReconciliationServices, run: Run) -> Response:
    location = public_path(request, f"/api/v1/ops/reconciliations/{run.id}")
    return _json(run_view(run, count_breaks(services, run.id)), 202, {"Location": location})


def _parse_id(text: str, refuse: Any) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise refuse() from None


def _no_reconciliation() -> Problem:
    return Problem(404, "reconciliation_not_found", "No such reconciliation. Check the id.")


def _no_break() -> Problem:
    return Problem(404, "break_not_found", "No such break. Check the id.")


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
