"""Create, list, rotate and revoke API keys: a merchant its own, an administrator anyone's.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.keys import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
KeyId = Annotated[str, Path(description="The key's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1", route_class=GuardedRoute)


@router.post("/api-keys", status_code=201, **documentation.CREATE)
@router.post("/ops/api-keys", status_code=201, **documentation.CREATE_FOR_ANYONE)
async def create(request: Request) -> Response:
    """Create a key. The answer holds the key itself, which is never shown again."""
    from api.routes.keys import answers

    return await answers.create(request)


@router.get("/api-keys", **documentation.LIST)
@router.get("/ops/api-keys", **documentation.LIST_OF_ANYONE)
async def list_(request: Request) -> Response:
    """List keys, newest first, expired and revoked ones too. A key is shown by its last four characters."""
    from api.routes.keys import answers

    return answers.list_(request)


@router.post("/api-keys/{key_id}/rotate", status_code=201, **documentation.ROTATE)
@router.post("/ops/api-keys/{key_id}/rotate", status_code=201, **documentation.ROTATE_ANYONES)
async def rotate(request: Request, key_id: KeyId) -> Response:
    """Create the successor of a key. Both work until the old one expires, after `overlap_seconds`."""
    from api.routes.keys import answers

    return await answers.rotate(request, key_id)


@router.delete("/api-keys/{key_id}", status_code=204, **documentation.REVOKE)
@router.delete("/ops/api-keys/{key_id}", status_code=204, **documentation.REVOKE_ANYONES)
async def revoke(request: Request, key_id: KeyId) -> Response:
    """Revoke a key. It stops working within 5 seconds, and does not come back."""
    from api.routes.keys import answers

    return answers.revoke(request, key_id)
