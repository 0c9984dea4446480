"""Whether the function is alive, and whether it can take payments."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.context import context_of
from api.problems import Problem
from api.routes.payments import documentation
from paybridge.operations.readiness import check_readiness

router = APIRouter(prefix="/health", tags=["health"])


@router.get("", **documentation.HEALTH)
async def health() -> Response:
    """The function is alive; asks nobody else."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/ready", **documentation.READINESS)
async def ready(request: Request) -> Response:
    """Database, schema and broker answer; tells how long the oldest due message has been waiting for the relay."""
    services = context_of(request).services
    checks = check_readiness(services.database, services.broker)
    views = [{"name": check.name, "ok": check.ok, **check.facts} for check in checks]
    failing = [check.name for check in checks if not check.ok]
    if failing:
        detail = f"Not ready: {', '.join(failing)}."
        raise Problem(503, "not_ready", detail, headers={"Retry-After": "5"}, extensions={"checks": views})
    return Response(orjson.dumps({"status": "ready", "checks": views}), media_type="application/json")
