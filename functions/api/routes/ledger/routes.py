"""Read balances, accounts and entries of the books.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.ledger import documentation

router = APIRouter(prefix="/api/v1", tags=["balances"], route_class=GuardedRoute)


@router.get("/balances", **documentation.BALANCES)
async def balances(request: Request) -> Response:
    """Read what is pending, available and reserved in each currency, now or at a moment."""
    from api.routes.ledger import answers

    return answers.balances(request)


@router.get("/ledger/accounts", **documentation.ACCOUNTS)
async def accounts(request: Request) -> Response:
    """List the accounts of the books with their balances, now or at a moment."""
    from api.routes.ledger import answers

    return answers.accounts(request)


@router.get("/ledger/entries", **documentation.ENTRIES)
async def entries(request: Request) -> Response:
    """List the entries of the books, newest first: each moves an amount from one account to another."""
    from api.routes.ledger import answers

    return answers.entries(request)
