"""List the payments in review, and approve or reject them.

Few environments of the API are ever asked for these, so the first request loads what answers them, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.payments.addresses import PaymentId
from api.routes.reviews import documentation

# The caller is a merchant or an operator, which the answers find out before anything else.
router = APIRouter(tags=["payments"], route_class=GuardedRoute)


@router.post("/api/v1/payments/{payment_id}/approve", status_code=202, **documentation.APPROVE)
async def approve(request: Request, payment_id: PaymentId) -> Response:
    """Approve a payment in review. It is processed as if it had been allowed."""
    from api.routes.reviews import answers

    return await answers.approve(request, payment_id)


@router.post("/api/v1/payments/{payment_id}/reject", status_code=202, **documentation.REJECT)
async def reject(request: Request, payment_id: PaymentId) -> Response:
    """Reject a payment in review. It fails with `review_rejected` and is never charged."""
    from api.routes.reviews import answers

    return await answers.reject(request, payment_id)


@router.get("/api/v1/ops/reviews", tags=["operations"], **documentation.LIST)
async def list_(request: Request) -> Response:
    """List the payments in review, the oldest first."""
    from api.routes.reviews import answers

    return answers.list_(request)
