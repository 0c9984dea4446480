"""Answer the requests about the archive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context
from api.problems import Problem, validation_failed
from api.request.json_body import check_content_type, parse_object
from paybridge.archive.domain import month_text, parse_month
from paybridge.archive.order import RESTORED_DAYS, RESTORED_DAYS_MAX, is_restorable, order_restore, order_run
from paybridge.archive.read import list_archive, show_month
from paybridge.core.fields import FieldError
from paybridge.core.strict_json import JsonNumber

_DAYS = re.compile(r"[1-9][0-9]{0,2}")


def list_(request: Request) -> Response:
    """List every month that was looked at, newest first."""
    return _list(request, 200)


def run(request: Request) -> Response:
    """Have the months that wait looked at again, and list all."""
    order_run(request_context(request).services.database)
    return _list(request, 202)


def show(request: Request, month: str) -> Response:
    """Show a month."""
    return _json(_view(request, _month(month)))


async def restore(request: Request, month: str) -> Response:
    """Have a month restored."""
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    wanted = _month(month)
    body = await request.body()
    days = _read_days(parse_object(body) if body else {})
    services = request_context(request).services
    ordered = order_restore(services.database, services.clock, wanted, days)
    if ordered is None:
        raise _not_found()
    if not is_restorable(ordered):
        detail = f"The month {month_text(wanted)} is {ordered.state}. Only a month that is archived can be restored."
        raise Problem(409, "month_not_archived", detail)
    return _json(_view(request, wanted), 202)


def _read_days(members: Mapping[str, Any]) -> int:
    faults = [
        FieldError(name if re.fullmatch(r"[a-z_]{1,40}", name) else "?", "unknown_member", "Unknown field. Remove it.")
        for name in sorted(members.keys() - {"days"})
    ]
    value = members.get("days")
    text = str(RESTORED_DAYS) if value is None else value.text if isinstance(value, JsonNumber) else ""
    if not _DAYS.fullmatch(text) or int(text) > RESTORED_DAYS_MAX:
        faults.append(FieldError("days", "days_invalid", f"Send a whole number from 1 to {RESTORED_DAYS_MAX}."))
    if faults:
        raise validation_failed(faults)
    return int(text)


def _list(request: Request, status: int) -> Response:
    months = list_archive(request_context(request).services.database)
    return _json({"data": months, "has_more": False, "next_cursor": None}, status)


def _view(request: Request, month: date) -> dict[str, Any]:
    view = show_month(request_context(request).services.database, month)
    if view is None:
        raise _not_found()
    return view


def _month(text: str) -> date:
    try:
        return parse_month(text)
    except ValueError:
        raise _not_found() from None


def _not_found() -> Problem:
    return Problem(404, "month_not_found", "The archive has not looked at this month. Name one as 2025-01.")


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")
