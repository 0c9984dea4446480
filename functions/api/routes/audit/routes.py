"""Audit the outbox.

Few environments of the API are ever asked for this, so the first request loads what answers it, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.audit import documentation

router = APIRouter(prefix="/api/v1/ops/outbox", tags=["operations"], route_class=GuardedRoute)


@router.get("/audit", **documentation.AUDIT)
async def audit(request: Request) -> Response:
    """Find changes without their event, events that were not published, and events that a consumer has lost.

    A request audits for a few seconds. Unless the answer is `complete`, repeat the request with its `next_cursor` as
    `cursor`, and the same `from` and `to`.
    """
    from api.routes.audit import answers

    return answers.audit(request)


@router.get("/audits/last", **documentation.READ_LAST)
async def read_last(request: Request) -> Response:
    """Read what the newest nightly audit that has ended found."""
    from api.routes.audit import answers

    return answers.read_last(request)
