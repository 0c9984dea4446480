"""Take a wrong journal back, and read what was taken back.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.corrections import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
CorrectionId = Annotated[str, Path(description="The correction's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/ops/ledger/corrections", tags=["operations"], route_class=GuardedRoute)


@router.post("", status_code=201, **documentation.CREATE)
async def create(request: Request) -> Response:
    """Take the journal of an event back by a new one with the opposite transfers.

    Both stay in the books: the new one names the old one and says why. A journal is taken back once.
    """
    from api.routes.corrections import answers

    return await answers.create(request)


@router.get("", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List corrections, newest first."""
    from api.routes.corrections import answers

    return answers.list_(request)


@router.get("/{correction_id}", **documentation.READ)
async def read(request: Request, correction_id: CorrectionId) -> Response:
    """Read a correction: which journal was reversed, the reason, and who ordered it."""
    from api.routes.corrections import answers

    return answers.read(request, correction_id)
