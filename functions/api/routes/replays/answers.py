"""Answer the requests about replays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import caller, public_path, request_context
from api.problems import Problem, validation_failed
from api.request.json_body import check_content_type
from api.request.query import check_query_string
from api.routes.replays.requests import parse_page, parse_start
from paybridge.core.archived_months import MonthsArchived
from paybridge.core.fields import FieldError
from paybridge.replay.control import ReplayEnded, cancel_replay, pause_replay, resume_replay
from paybridge.replay.domain import Replay
from paybridge.replay.ports import ReplayServices
from paybridge.replay.read import list_replays, read_replay
from paybridge.replay.start import OPEN_MAX, RangeEmpty, TooManyReplays, start_replay
from paybridge.wiring import replay as replay_wiring


async def start(request: Request) -> Response:
    """Start a replay or a dry run."""
    services = _services(request)
    check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
    order = parse_start(await request.body(), caller(request).actor, services.clock.now())
    try:
        replay = start_replay(services, order)
    except RangeEmpty:
        fault = FieldError("from", "range_invalid", "Send a time in the past. No fact is newer than this moment.")
        raise validation_failed([fault]) from None
    except MonthsArchived as error:
        raise Problem(409, "months_archived", str(error)) from None
    except TooManyReplays:
        detail = f"{OPEN_MAX} replays have not ended. Wait for one of them, or cancel one."
        raise Problem(409, "too_many_replays", detail) from None
    return _json(replay.view(), 202, {"Location": public_path(request, f"/api/v1/ops/replays/{replay.id}")})


def list_(request: Request) -> Response:
    """List replays, newest first."""
    check_query_string(request.scope["query_string"])
    query = parse_page(request.scope["query_string"])
    page = list_replays(request_context(request).services.database, cursor=query.cursor, limit=query.limit)
    return _json(
        {
            "data": [replay.view() for replay in page.replays],
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }
    )


def read(request: Request, replay_id: str) -> Response:
    """Read a replay. A dry run goes on meanwhile."""
    return _answer(read_replay(_services(request), _parse_id(replay_id)))


def pause(request: Request, replay_id: str) -> Response:
    """Pause a replay."""
    return _change(request, replay_id, pause_replay)


def resume(request: Request, replay_id: str) -> Response:
    """Resume a replay."""
    return _change(request, replay_id, resume_replay)


def cancel(request: Request, replay_id: str) -> Response:
    """Cancel a replay."""
    return _change(request, replay_id, cancel_replay)


def _change(request: Request, replay_id: str, change: Callable[[ReplayServices, UUID, str], Replay | None]) -> Response:
    try:
        return _answer(change(_services(request), _parse_id(replay_id), caller(request).actor))
    except ReplayEnded:
        detail = "The replay is finished or canceled. Start another one for the rest."
        raise Problem(409, "replay_ended", detail) from None


def _services(request: Request) -> ReplayServices:
    services = request_context(request).services
    return replay_wiring.services_over(services.database, services.clock, services.ids)


def _answer(replay: Replay | None) -> Response:
    if replay is None:
        raise _not_found()
    return _json(replay.view())


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _not_found() from None


def _not_found() -> Problem:
    return Problem(404, "replay_not_found", "No such replay. Check the id.")


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
