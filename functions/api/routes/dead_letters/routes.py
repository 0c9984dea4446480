"""List, show, redrive and discard dead letters.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.dead_letters import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
DeadLetterId = Annotated[str, Path(description="The dead letter's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/ops/dead-letters", tags=["operations"], route_class=GuardedRoute)


@router.get("", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List dead letters, newest first."""
    from api.routes.dead_letters import answers

    return await answers.list_(request)


@router.get("/groups", **documentation.GROUPS)
async def groups(request: Request) -> Response:
    """List the groups of equal faults, largest first."""
    from api.routes.dead_letters import answers

    return await answers.groups(request)


@router.post("/redrive", status_code=202, **documentation.REDRIVE)
async def redrive(request: Request) -> Response:
    """Publish dead letters again, or say what that would do."""
    from api.routes.dead_letters import answers

    return await answers.redrive(request)


@router.get("/{dead_letter_id}", **documentation.SHOW)
async def show(request: Request, dead_letter_id: DeadLetterId) -> Response:
    """Show a dead letter with body, headers, deaths and what operators did with it."""
    # This path also fits, and is only for POST.
    if dead_letter_id == "redrive":
        raise HTTPException(405)
    from api.routes.dead_letters import answers

    return await answers.show(request, dead_letter_id)


@router.post("/{dead_letter_id}/discard", **documentation.DISCARD)
async def discard(request: Request, dead_letter_id: DeadLetterId) -> Response:
    """Discard a dead letter. The second time changes nothing."""
    from api.routes.dead_letters import answers

    return await answers.discard(request, dead_letter_id)
