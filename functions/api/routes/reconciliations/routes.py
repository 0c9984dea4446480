"""Start and read reconciliations, import statements, and work on breaks.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.reconciliations import documentation

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
ReconciliationId = Annotated[str, Path(description="The reconciliation's id.", json_schema_extra={"format": "uuid"})]
BreakId = Annotated[str, Path(description="The break's id.", json_schema_extra={"format": "uuid"})]

router = APIRouter(prefix="/api/v1/ops", tags=["operations"], route_class=GuardedRoute)


@router.post("/reconciliations", status_code=202, **documentation.START)
async def start(request: Request) -> Response:
    """Compare a day: the statements of the gateways, the payments and the ledger.

    A day that was compared before is compared again, under the same id and with the same breaks. A day that is under
    way goes on. Today is compared as far as it has passed.
    """
    from api.routes.reconciliations import answers

    return await answers.start(request)


@router.get("/reconciliations", **documentation.LIST)
async def list_(request: Request) -> Response:
    """List reconciliations, the newest day first."""
    from api.routes.reconciliations import answers

    return answers.list_(request)


@router.post("/reconciliations/statements", status_code=202, **documentation.IMPORT)
async def import_(request: Request) -> Response:
    """Import the statement of a gateway for a day as CSV, and compare that day.

    The gateway is then not asked for that day any more. Every row must be readable, or nothing is imported and `errors`
    names the first rows at fault as `line 3`. Another import for the day takes the place of the first.
    """
    from api.routes.reconciliations import answers

    return await answers.import_(request)


@router.get("/reconciliations/{reconciliation_id}", **documentation.READ)
async def read(request: Request, reconciliation_id: ReconciliationId) -> Response:
    """Read how far a reconciliation is, and what it came to."""
    if reconciliation_id == "statements":
        # The path takes statements. Without this route the router would answer so.
        raise HTTPException(405)
    from api.routes.reconciliations import answers

    return await answers.read(request, reconciliation_id)


@router.get("/reconciliations/{reconciliation_id}/breaks", **documentation.BREAKS)
async def breaks(request: Request, reconciliation_id: ReconciliationId) -> Response:
    """List the breaks of a reconciliation, oldest first, as JSON or as CSV."""
    from api.routes.reconciliations import answers

    return answers.breaks(request, reconciliation_id)


@router.get("/reconciliation-breaks/{break_id}", **documentation.READ_BREAK)
async def read_break(request: Request, break_id: BreakId) -> Response:
    """Read a break with what was done about it."""
    from api.routes.reconciliations import answers

    return answers.read_break(request, break_id)


@router.post("/reconciliation-breaks/{break_id}/resolve", **documentation.RESOLVE)
async def resolve(request: Request, break_id: BreakId) -> Response:
    """Resolve a break: a side was corrected, or with `force` the difference is accepted."""
    from api.routes.reconciliations import answers

    return await answers.resolve(request, break_id)


@router.post("/reconciliation-breaks/{break_id}/explain", **documentation.EXPLAIN)
async def explain(request: Request, break_id: BreakId) -> Response:
    """Say why a break is there. It stays until it is resolved."""
    from api.routes.reconciliations import answers

    return await answers.explain(request, break_id)


@router.post("/reconciliation-breaks/{break_id}/void", **documentation.VOID)
async def void(request: Request, break_id: BreakId) -> Response:
    """Void a break: it was a false alarm."""
    from api.routes.reconciliations import answers

    return await answers.void(request, break_id)
