"""Capture and cancel payments."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.commands import CommandKind, answer_command
from api.guarded_route import GuardedRoute
from api.idempotency import KeyedResource
from api.routes.payments import documentation
from api.routes.payments.addresses import PREFIX, PaymentId
from api.routes.payments.schemas import CancelRequest, CaptureRequest
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment

_CAPTURE = CommandKind(
    CaptureRequest,
    capture_operation,
    capture_payment,
    lambda body: {"amount": body.amount},
    KeyedResource(PREFIX, "payment_id", "payment", "captured"),
)
_CANCEL = CommandKind(
    CancelRequest,
    cancel_operation,
    cancel_payment,
    lambda body: {"reason": body.reason},
    KeyedResource(PREFIX, "payment_id", "payment", "canceled"),
)

router = APIRouter(prefix=PREFIX, tags=["payments"], route_class=GuardedRoute)


@router.post("/{payment_id}/capture", status_code=202, **documentation.CAPTURE_PAYMENT)
async def capture(request: Request, payment_id: PaymentId) -> Response:
    """Take the money of a payment that is `requires_capture`: all of it, or a part, and the rest is released.

    The gateway is asked afterwards. Until it has answered, the payment has a `pending_operation`.
    """
    return await answer_command(request, payment_id, _CAPTURE)


@router.post("/{payment_id}/cancel", status_code=202, **documentation.CANCEL_PAYMENT)
async def cancel(request: Request, payment_id: PaymentId) -> Response:
    """Cancel a payment that has taken no money.

    A payment that is `pending` or in `review` is canceled at once. One that is `requires_capture` has a
    `pending_operation` until the gateway has released the money. A charge that is under way is never canceled: wait
    for its outcome.
    """
    return await answer_command(request, payment_id, _CANCEL)
