"""From the raw body of POST /payments to a PaymentOrder."""

from __future__ import annotations

from pydantic import ValidationError

from api.errors import invalid_members
from api.request.json_body import parse_object
from api.routes.payments.schemas import PaymentRequest
from paybridge.core.errors import InvalidInput
from paybridge.core.money import to_minor
from paybridge.payments.create import PaymentOrder
from paybridge.webhooks.domain.address import IpNetwork
from paybridge.webhooks.domain.webhook_url import check_webhook_url


def parse_order(body: bytes, *, local_webhook_networks: tuple[IpNetwork, ...]) -> PaymentOrder:
    """The order in a JSON body. Raises Problem (400, 413, 422) or InvalidInput, never echoing what was sent."""
    members = parse_object(body)
    try:
        request = PaymentRequest.model_validate(members)
    except ValidationError as error:
        raise invalid_members(error.errors(include_url=False, include_context=False, include_input=False)) from None
    if request.capture == "manual":
        raise InvalidInput("capture_not_supported", "Only automatic capture is supported.", "capture")
    if request.webhook_url is not None:
        check_webhook_url(request.webhook_url, local_networks=local_webhook_networks)
    return PaymentOrder(
        amount_minor=to_minor(request.amount, request.currency),
        currency=request.currency,
        description=request.description,
        metadata=request.metadata,
        webhook_url=request.webhook_url,
        customer=request.customer,
        payment_method=request.payment_method,
    )
