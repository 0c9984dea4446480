"""Liveness and readiness of the API function."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.context import request_context
from api.problems import Problem
from api.routes.health import documentation
from paybridge.operations.readiness import check_readiness

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", **documentation.HEALTH)
async def health() -> Response:
    """Answer that the function is alive, without asking any dependency."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/ready", **documentation.READINESS)
async def ready(request: Request) -> Response:
    """Check database, schema, relay and broker. `lag_seconds` is how long the oldest due message has been waiting."""
    services = request_context(request).services
    checks = check_readiness(services.database, services.broker)
    views = [{"name": check.name, "ok": check.ok, **check.facts} for check in checks]
    failing = [check.name for check in checks if not check.ok]
    if failing:
        detail = f"Not ready: {', '.join(failing)}."
        raise Problem(503, "not_ready", detail, headers={"Retry-After": "5"}, extensions={"checks": views})
    return Response(orjson.dumps({"status": "ready", "checks": views}), media_type="application/json")
