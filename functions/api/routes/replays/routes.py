"""Start, list, read, pause, resume and cancel replays.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.replays import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
ReplayId = Annotated[str, Path(description="The replay's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/ops/replays", tags=["operations"], route_class=GuardedRoute)


@router.post("", status_code=202, **documentation.START)
async def start(request: Request) -> Response:
    """Publish facts of the event log again, to the queue of one consumer.

    The facts are those whose time is at or after `from` and before `to`. The relay begins at once. A consumer that has
    processed an event already does nothing about it. With `dry_run` nothing is published: `would` says how many facts
    would be sent, and how many of them are new to the consumer.
    """
    from api.routes.replays import answers

    return await answers.start(request)


@router.get("", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List replays, newest first."""
    from api.routes.replays import answers

    return answers.list_(request)


@router.get("/{replay_id}", **documentation.READ)
async def read(request: Request, replay_id: ReplayId) -> Response:
    """Read a replay and its progress."""
    from api.routes.replays import answers

    return answers.read(request, replay_id)


@router.post("/{replay_id}/pause", **documentation.PAUSE)
async def pause(request: Request, replay_id: ReplayId) -> Response:
    """Stop a replay until it is resumed. The second time changes nothing."""
    from api.routes.replays import answers

    return answers.pause(request, replay_id)


@router.post("/{replay_id}/resume", **documentation.RESUME)
async def resume(request: Request, replay_id: ReplayId) -> Response:
    """Go on with a paused replay after the last fact that was sent. The second time changes nothing."""
    from api.routes.replays import answers

    return answers.resume(request, replay_id)


@router.post("/{replay_id}/cancel", **documentation.CANCEL)
async def cancel(request: Request, replay_id: ReplayId) -> Response:
    """End a replay. What was sent stays sent. The second time changes nothing."""
    from api.routes.replays import answers

    return answers.cancel(request, replay_id)
