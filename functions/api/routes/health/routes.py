"""Liveness and readiness of the API function."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.context import request_context
from api.guarded_route import GuardedRoute
from api.problems import Problem
from api.routes.health import documentation
from paybridge.operations.readiness import check_readiness

Purpose = Annotated[
    Literal["accepting"] | None,
    Query(alias="for", description="What to be ready for: `accepting` leaves RabbitMQ out. Everything if absent."),
]

router = APIRouter(prefix="/health", tags=["health"], route_class=GuardedRoute)


@router.get("", **documentation.HEALTH)
async def health(request: Request) -> Response:
    """Answer that the function is alive, without asking any dependency."""
    release = request_context(request).services.release
    view = {"status": "ok", "version": request.app.version, "revision": release or None}
    return Response(orjson.dumps(view), media_type="application/json")


@router.get("/ready", **documentation.READINESS)
async def ready(request: Request, purpose: Purpose = None) -> Response:
    """Check database, schema, relay and broker. `lag_seconds` is how long the oldest due message has been waiting.

    With `for=accepting`, check what accepting a payment needs: database and schema. RabbitMQ may be away then.
    """
    services = request_context(request).services
    broker = None if purpose == "accepting" else services.broker
    checks = check_readiness(services.database, broker)
    views = [{"name": check.name, "ok": check.ok, **check.facts} for check in checks]
    failing = [check.name for check in checks if not check.ok]
    if failing:
        detail = f"Not ready: {', '.join(failing)}."
        raise Problem(503, "not_ready", detail, headers={"Retry-After": "5"}, extensions={"checks": views})
    return Response(orjson.dumps({"status": "ready", "checks": views}), media_type="application/json")
