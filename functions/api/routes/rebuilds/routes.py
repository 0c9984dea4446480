"""Rebuild the books, switch to a rebuilt one and drop a retired one.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.rebuilds import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
RebuildId = Annotated[str, Path(description="The rebuild's id.", json_schema_extra={"format": "uuid"})]
BookNumber = Annotated[str, Path(description="The book's number.", json_schema_extra={"pattern": "^[0-9]+$"})]

router = APIRouter(prefix="/api/v1/ops/ledger", tags=["operations"], route_class=GuardedRoute)


@router.post("/rebuilds", status_code=202, **documentation.START)
async def start(request: Request) -> Response:
    """Build a second book from the event log and prove that it equals the live one."""
    from api.routes.rebuilds import answers

    return await answers.start(request)


@router.get("/rebuilds", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List rebuilds, newest first."""
    from api.routes.rebuilds import answers

    return answers.list_(request)


@router.get("/rebuilds/{rebuild_id}", **documentation.READ)
async def read(request: Request, rebuild_id: RebuildId) -> Response:
    """Return a rebuild with its progress, and in the end its proof. Each request goes on with the work."""
    from api.routes.rebuilds import answers

    return answers.read(request, rebuild_id)


@router.post("/rebuilds/{rebuild_id}/cancel", **documentation.CANCEL)
async def cancel(request: Request, rebuild_id: RebuildId) -> Response:
    """End a rebuild that is running. Its book stays until it is dropped. The second time changes nothing."""
    from api.routes.rebuilds import answers

    return answers.cancel(request, rebuild_id)


@router.post("/rebuilds/{rebuild_id}/switch", **documentation.SWITCH)
async def switch(request: Request, rebuild_id: RebuildId) -> Response:
    """Make the rebuilt book the live one. The second time changes nothing."""
    from api.routes.rebuilds import answers

    return await answers.switch(request, rebuild_id)


@router.get("/books", **documentation.BOOKS)
async def books(request: Request) -> Response:
    """List the books, newest first."""
    from api.routes.rebuilds import answers

    return answers.books(request)


@router.delete("/books/{book}", status_code=204, **documentation.DROP)
async def drop(request: Request, book: BookNumber) -> Response:
    """Drop a book that is retired or was never live. A large one takes a while: 202 until it is gone."""
    from api.routes.rebuilds import answers

    return answers.drop(request, book)
