"""Create, list, read and change merchants, for administrators.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.merchants import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
MerchantId = Annotated[str, Path(description="The merchant's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/ops/merchants", tags=["merchants"], route_class=GuardedRoute)


@router.post("", status_code=201, **documentation.CREATE)
async def create(request: Request) -> Response:
    """Create a merchant. The answer holds its webhook secret, which is never shown again. Create a key for it next."""
    from api.routes.merchants import answers

    return await answers.create(request)


@router.get("", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List merchants, newest first."""
    from api.routes.merchants import answers

    return answers.list_(request)


@router.get("/{merchant_id}", **documentation.READ)
async def read(request: Request, merchant_id: MerchantId) -> Response:
    """Read a merchant."""
    from api.routes.merchants import answers

    return answers.read(request, merchant_id)


@router.patch("/{merchant_id}", **documentation.CHANGE)
async def change(request: Request, merchant_id: MerchantId) -> Response:
    """Change the members that the body names. Null removes what may be absent."""
    from api.routes.merchants import answers

    return await answers.change(request, merchant_id)
