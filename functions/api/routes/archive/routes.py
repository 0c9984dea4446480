"""List and show archived months, and order runs and restores.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.archive import documentation

# Text: what cannot be parsed is a 404 like any unknown month.
MonthName = Annotated[str, Path(description="The month, such as 2025-01.", examples=["2025-01"])]

router = APIRouter(prefix="/api/v1/ops/archive", tags=["operations"], route_class=GuardedRoute)


@router.get("", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List the months that are archived, restored or on their way, newest first, with every table."""
    from api.routes.archive import answers

    return answers.list_(request)


@router.post("/run", status_code=202, **documentation.RUN)
async def run(request: Request) -> Response:
    """Have the months that wait looked at again within a minute, and not a day later."""
    from api.routes.archive import answers

    return answers.run(request)


@router.get("/{month}", **documentation.SHOW)
async def show(request: Request, month: MonthName) -> Response:
    """Show a month: where it is, why it waits, and how far each table has come."""
    # This path also fits, and is only for POST.
    if month == "run":
        raise HTTPException(405)
    from api.routes.archive import answers

    return answers.show(request, month)


@router.post("/{month}/restore", status_code=202, **documentation.RESTORE)
async def restore(request: Request, month: MonthName) -> Response:
    """Have an archived month restored for reading and replays, for some days. A second order keeps it for longer."""
    from api.routes.archive import answers

    return await answers.restore(request, month)
