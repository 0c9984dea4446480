"""Objects as Stripe's API shows them, and its errors. Names and shapes are those of its public OpenAPI description."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


class StripeError(Exception):
    """An answer of the API that is an error."""

    def __init__(self, status: int, /, *, type: str, message: str, **members: Any) -> None:  # noqa: A002
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": type, "message": message, **members}}


def invalid_request(code: str | None, message: str, status: int = 400, **members: Any) -> StripeError:
    """Return an error of the request."""
    coded = {"code": code} if code else {}
    return StripeError(status, type="invalid_request_error", message=message, **coded, **members)


def missing(kind: str, id_: str, param: str, status: int = 400) -> StripeError:
    """Return the error for an id of nothing: 404 in the path, 400 in the form."""
    return invalid_request("resource_missing", f"No such {kind}: '{id_}'", status, param=param)


def card_error(code: str, decline_code: str | None) -> Object:
    """Return the error of a card that was declined."""
    declined = {"decline_code": decline_code} if decline_code else {}
    return {"type": "card_error", "code": code, "message": "Your card was declined.", **declined}


def payment_intent(id_: str, form: Object, created: int) -> Object:
    """Return a PaymentIntent that nothing has confirmed yet."""
    return {
        "id": id_,
        "object": "payment_intent",
        "amount": form["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": form.get("automatic_payment_methods"),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": form.get("capture_method", "automatic_async"),
        "client_secret": f"{id_}_secret_x",
        "confirmation_method": "automatic",
        "created": created,
        "currency": form["currency"],
        "customer": None,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": form.get("metadata", {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": form.get("payment_method"),
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_confirmation",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(id_: str, intent: Object, amount_authorized: int, capture_before: int | None, created: int) -> Object:
    """Return the charge of a PaymentIntent whose card has said yes."""
    return {
        "id": id_,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "disputed": False,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "outcome": {"network_status": "approved_by_network", "type": "authorized"},
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": {
            "card": {"amount_authorized": amount_authorized, "brand": "visa", "capture_before": capture_before},
            "type": "card",
        },
        "refunded": False,
        "status": "succeeded",
    }


def refund(id_: str, intent: Object, amount: int, metadata: Object, created: int) -> Object:
    """Return a refund that has succeeded."""
    return {
        "id": id_,
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": intent["latest_charge"],
        "created": created,
        "currency": intent["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": metadata,
        "payment_intent": intent["id"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def balance_transaction(id_: str, type_: str, source_id: str, amount: int, intent: Object, created: int) -> Object:
    """Return a balance transaction about a charge or a refund. A refund takes from the balance."""
    signed = -amount if type_ == "refund" else amount
    return {
        "id": id_,
        "object": "balance_transaction",
        "amount": signed,
        "created": created,
        "currency": intent["currency"],
        "description": None,
        "exchange_rate": None,
        "fee": 0,
        "net": signed,
        "reporting_category": type_,
        "source": source_id,
        "status": "available",
        "type": type_,
    }


def payout_transaction(id_: str, amount: int, currency: str, created: int) -> Object:
    """Return the balance transaction of a payout to the account's bank."""
    return {
        "id": id_,
        "object": "balance_transaction",
        "amount": -amount,
        "created": created,
        "currency": currency,
        "fee": 0,
        "net": -amount,
        "reporting_category": "payout",
        "source": {"id": f"po_{id_}", "object": "payout"},
        "status": "available",
        "type": "payout",
    }


def event(id_: str, type_: str, about: Object, created: int) -> Object:
    """Return an event with the object as it is now."""
    return {
        "id": id_,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
    }
