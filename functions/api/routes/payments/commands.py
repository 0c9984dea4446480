"""Capture and cancel payments."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.commands import Command, command_response, read_command
from api.context import request_context
from api.idempotency import KeyedResource, keyed_response
from api.merchant_route import MerchantRoute
from api.routes.payments import documentation
from api.routes.payments.addresses import PREFIX, PaymentId, payment_id_of
from api.routes.payments.schemas import CancelRequest, CaptureRequest
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment

_CAPTURED = KeyedResource(PREFIX, "payment_id", "payment", "captured")
_CANCELED = KeyedResource(PREFIX, "payment_id", "payment", "canceled")

router = APIRouter(prefix=PREFIX, tags=["payments"], route_class=MerchantRoute)


@router.post("/{payment_id}/capture", status_code=202, **documentation.CAPTURE_PAYMENT)
async def capture(request: Request, payment_id: PaymentId) -> Response:
    """Take the money of a payment that is `requires_capture`: all of it, or a part, and the rest is released.

    The gateway is asked afterwards. Until it has answered, the payment has a `pending_operation`.
    """
    id_ = payment_id_of(payment_id)
    command = await read_command(request, CaptureRequest, capture_operation(id_))
    if not isinstance(command, Command):
        return keyed_response(request, command, _CAPTURED)
    context = request_context(request)
    outcome = capture_payment(
        context.services.database,
        context.services.clock,
        context.services.ids,
        keyed=command.keyed,
        payment_id=id_,
        amount=command.body.amount,
        correlation_id=context.correlation_id,
    )
    return command_response(request, outcome, _CAPTURED)


@router.post("/{payment_id}/cancel", status_code=202, **documentation.CANCEL_PAYMENT)
async def cancel(request: Request, payment_id: PaymentId) -> Response:
    """Cancel a payment that has taken no money.

    A payment that is `pending` or in `review` is canceled at once. One that is `requires_capture` has a
    `pending_operation` until the gateway has released the money. A charge that is under way is never canceled: wait
    for its outcome.
    """
    id_ = payment_id_of(payment_id)
    command = await read_command(request, CancelRequest, cancel_operation(id_))
    if not isinstance(command, Command):
        return keyed_response(request, command, _CANCELED)
    context = request_context(request)
    outcome = cancel_payment(
        context.services.database,
        context.services.clock,
        context.services.ids,
        keyed=command.keyed,
        payment_id=id_,
        reason=command.body.reason,
        correlation_id=context.correlation_id,
    )
    return command_response(request, outcome, _CANCELED)
