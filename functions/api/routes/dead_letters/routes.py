"""List, show, redrive and discard dead letters.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute

# Operators' routes stay out of the merchants' document: docs/operators/dead-letters.md describes them.
router = APIRouter(prefix="/api/v1/ops/dead-letters", include_in_schema=False, route_class=GuardedRoute)


@router.get("")
async def list_(request: Request) -> Response:
    """List dead letters, newest first."""
    from api.routes.dead_letters import answers

    return await answers.list_(request)


@router.get("/groups")
async def groups(request: Request) -> Response:
    """List the groups of equal faults, largest first."""
    from api.routes.dead_letters import answers

    return await answers.groups(request)


@router.post("/redrive")
async def redrive(request: Request) -> Response:
    """Publish dead letters again, or say what that would do."""
    from api.routes.dead_letters import answers

    return await answers.redrive(request)


@router.get("/{dead_letter_id}")
async def show(request: Request, dead_letter_id: str) -> Response:
    """Show a dead letter with body, headers, deaths and what operators did with it."""
    from api.routes.dead_letters import answers

    return await answers.show(request, dead_letter_id)


@router.post("/{dead_letter_id}/discard")
async def discard(request: Request, dead_letter_id: str) -> Response:
    """Discard a dead letter. The second time changes nothing."""
    from api.routes.dead_letters import answers

    return await answers.discard(request, dead_letter_id)
