"""Show the days and months of merchants in figures.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.analytics import documentation

router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"], route_class=GuardedRoute)


@router.get("/daily", **documentation.DAILY)
async def daily(request: Request) -> Response:
    """Show each day (UTC) and currency, the oldest first. `Accept: text/csv` asks for all days at once as CSV."""
    from api.routes.analytics import answers

    return answers.daily(request)


@router.get("/monthly", **documentation.MONTHLY)
async def monthly(request: Request) -> Response:
    """Show the sums of whole months, from the month of the first day to that of the last, as JSON or CSV."""
    from api.routes.analytics import answers

    return answers.monthly(request)
