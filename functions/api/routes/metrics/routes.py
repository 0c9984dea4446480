"""`GET /metrics`, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.context import request_context
from api.guarded_route import GuardedRoute

# For operators: docs/operators/metrics.md describes it, and not the merchants' document.
router = APIRouter(include_in_schema=False, route_class=GuardedRoute)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return every figure. On the local stack it needs no key."""
    # Few environments are scraped, so a cold start does not load these.
    from api.routes.metrics.exposition import MEDIA_TYPE, exposition
    from paybridge.operations.figures import read_figures

    services = request_context(request).services
    families = read_figures(services.database, services.clock)
    return Response(exposition(families), headers={"Cache-Control": "no-store"}, media_type=MEDIA_TYPE)
