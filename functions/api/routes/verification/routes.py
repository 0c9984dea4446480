"""Check every invariant of the books, the outbox and the payments.

Few environments of the API are ever asked for this, so the first request loads what answers it, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.verification import documentation

router = APIRouter(prefix="/api/v1/ops", tags=["operations"], route_class=GuardedRoute)


@router.get("/verify", **documentation.VERIFY)
async def verify(request: Request) -> Response:
    """Check every invariant, each with one finding, by what is newest where there is much.

    `paybridge verify --full` checks everything.
    """
    from api.routes.verification import answers

    return answers.verify(request)
