"""Order payouts, read and list them, and settle them.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.payouts import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
PayoutId = Annotated[str, Path(description="The payout's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1", tags=["payouts"], route_class=GuardedRoute)


@router.post("/payouts", status_code=202, **documentation.CREATE)
async def create(request: Request) -> Response:
    """Order a payout of what is available in a currency.

    The amount is reserved at once, so payouts never take more than is available. Your operator pays it out and settles
    it: follow it by webhook, or read it.
    """
    from api.routes.payouts import answers

    return await answers.create(request)


@router.get("/payouts", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List payouts, newest first. Pages do not shift when new payouts arrive."""
    from api.routes.payouts import answers

    return answers.list_(request)


@router.get("/payouts/{payout_id}", **documentation.READ)
async def read(request: Request, payout_id: PayoutId) -> Response:
    """Read a payout."""
    from api.routes.payouts import answers

    return answers.read(request, payout_id)


@router.post("/ops/payouts/{payout_id}/settle", tags=["operations"], **documentation.SETTLE)
async def settle(request: Request, payout_id: PayoutId) -> Response:
    """Say how a payout ended. The same outcome again changes nothing."""
    from api.routes.payouts import answers

    return await answers.settle(request, payout_id)
