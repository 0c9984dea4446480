"""The payment order in the body of POST /payments."""

from __future__ import annotations

from api.problems import validation_failed
from api.request.json_body import parse_object
from paybridge.core.fields import FieldsInvalid
from paybridge.intake.order import read_order
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.webhooks.domain.address import IpNetwork


def parse_order(body: bytes, *, local_webhook_networks: tuple[IpNetwork, ...]) -> PaymentOrder:
    """Return the order in a JSON body.

    Raises Problem (400, 413, 422) or InvalidInput. A 422 names every field that breaks a rule.
    """
    members = parse_object(body)
    try:
        return read_order(members, local_webhook_networks=local_webhook_networks)
    except FieldsInvalid as error:
        raise validation_failed(error.errors) from None
