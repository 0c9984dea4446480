"""The payment order in the body of POST /payments."""

from __future__ import annotations

from api.request.fields import validate
from api.request.json_body import parse_object
from api.routes.payments.schemas import PaymentRequest, payment_details
from paybridge.core.errors import InvalidInput
from paybridge.core.money import to_minor
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.webhooks.domain.address import IpNetwork
from paybridge.webhooks.domain.webhook_url import check_webhook_url


def parse_order(body: bytes, *, local_webhook_networks: tuple[IpNetwork, ...]) -> PaymentOrder:
    """Return the order in a JSON body. Raises Problem (400, 413, 422) or InvalidInput."""
    request = validate(PaymentRequest, parse_object(body))
    if request.capture == "manual":
        raise InvalidInput(
            "capture_not_supported",
            "Manual capture is not supported. Leave `capture` out or send automatic.",
            "capture",
        )
    if request.webhook_url is not None:
        check_webhook_url(request.webhook_url, local_networks=local_webhook_networks)
    return PaymentOrder(
        amount_minor=to_minor(request.amount, request.currency), currency=request.currency, **payment_details(request)
    )
