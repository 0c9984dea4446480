"""What Stripe is asked for: path and form of the request for each kind of operation, pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID

from paybridge.payments.domain.operation import FIRST_KINDS, Kind
from paybridge.payments.domain.stripe_amounts import to_stripe
from paybridge.payments.gateways.stripe_reading import CAPTURE_ID, OPERATION_ID, PAYMENT_ID
from paybridge.payments.ports import GatewayRequest

INTENTS = "/v1/payment_intents"
INTENT_SEARCH = f"{INTENTS}/search"
REFUNDS = "/v1/refunds"
PAGE_SIZE = 100
# Stripe's clock and that of the process that made the id differ by less.
CLOCKS_APART_MAX = timedelta(minutes=5)
_UUID_VERSION = 7
# A UUIDv7 begins with its time, 48 bits of milliseconds.
_BITS_AFTER_TIME = 80


class StripeOrder(NamedTuple):
    """Path and form of a POST."""

    path: str
    form: Mapping[str, str]


def order_of(request: GatewayRequest) -> StripeOrder:
    """Return what to post for the operation. Raises AmountRefused, and ValueError if the request names no target."""
    if request.kind is Kind.VOID:
        return StripeOrder(f"{_target(request)}/cancel", {})
    amount = str(to_stripe(request.amount_minor, request.currency, request.currency_places))
    if request.kind is Kind.CAPTURE:
        form = {"amount_to_capture": amount, f"metadata[{CAPTURE_ID}]": str(request.operation_id)}
        return StripeOrder(f"{_target(request)}/capture", form)
    if request.kind is Kind.REFUND:
        return StripeOrder(REFUNDS, {"payment_intent": _target_id(request), "amount": amount, **_names(request)})
    if request.kind in FIRST_KINDS:
        return StripeOrder(INTENTS, _intent(request, amount))
    raise ValueError(f"a {request.kind} is the gateway's own doing")


def path_of(request: GatewayRequest) -> str | None:
    """Return the path of the object that says what became of the operation, None while its id is unknown."""
    if request.kind in {Kind.CAPTURE, Kind.VOID}:
        return _target(request)
    if request.gateway_id is None:
        return None
    return f"{REFUNDS if request.kind is Kind.REFUND else INTENTS}/{quote(request.gateway_id, safe='')}"


def expanded(request: GatewayRequest) -> dict[str, str]:
    """Return the parameter that puts the charge, which says when it expires, into an authorization's PaymentIntent."""
    return {"expand[]": "latest_charge"} if request.kind is Kind.AUTHORIZATION else {}


def refunds_of(request: GatewayRequest) -> dict[str, str]:
    """Return the parameters of the list of refunds of the PaymentIntent that the request is about."""
    return {"payment_intent": _target_id(request), "limit": str(PAGE_SIZE)}


def intents_since(operation_id: UUID) -> dict[str, str]:
    """Return the parameters of the list of PaymentIntents, the newest first, that begins with the operation."""
    page = {"limit": str(PAGE_SIZE)}
    if operation_id.version != _UUID_VERSION:
        return page
    made_at = datetime.fromtimestamp((operation_id.int >> _BITS_AFTER_TIME) / 1000, UTC)
    return {**page, "created[gte]": str(int((made_at - CLOCKS_APART_MAX).timestamp()))}


def search_for(operation_id: UUID) -> dict[str, str]:
    """Return the parameters of the search for the operation's PaymentIntents."""
    return {"query": f'metadata["{OPERATION_ID}"]:"{operation_id}"', "limit": str(PAGE_SIZE)}


def _intent(request: GatewayRequest, amount: str) -> dict[str, str]:
    if request.payment_method is None:
        raise ValueError("Stripe needs a payment method")
    return {
        "amount": amount,
        "currency": request.currency.lower(),
        "payment_method": request.payment_method,
        "confirm": "true",
        "capture_method": "manual" if request.kind is Kind.AUTHORIZATION else "automatic",
        # Nothing of ours can lead the customer to their bank. What needs that is declined instead of left open.
        "error_on_requires_action": "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        **_names(request),
        **expanded(request),
    }


def _names(request: GatewayRequest) -> dict[str, str]:
    return {
        f"metadata[{OPERATION_ID}]": str(request.operation_id),
        f"metadata[{PAYMENT_ID}]": str(request.payment_id),
    }


def _target(request: GatewayRequest) -> str:
    return f"{INTENTS}/{quote(_target_id(request), safe='')}"


def _target_id(request: GatewayRequest) -> str:
    if request.target_gateway_id is None:
        raise ValueError(f"a {request.kind} needs the PaymentIntent that it is about")
    return request.target_gateway_id
