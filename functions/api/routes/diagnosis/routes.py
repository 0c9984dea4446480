"""Say where a payment is and why.

Few environments of the API are ever asked for this, so the first request loads what answers it, and not each cold
start.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.guarded_route import GuardedRoute
from api.routes.diagnosis import documentation
from api.routes.payments.addresses import PaymentId

router = APIRouter(prefix="/api/v1/ops/payments", tags=["operations"], route_class=GuardedRoute)


@router.get("/{payment_id}", **documentation.SHOW)
async def show(request: Request, payment_id: PaymentId) -> Response:
    """Show any merchant's payment, what was asked of the gateway, why it is where it is, and its timeline."""
    from api.routes.diagnosis import answers

    return answers.show(request, payment_id)
