"""Read what Stripe's answers say about an operation: pure functions of status and body.

A charge is a PaymentIntent with the operation's id in its metadata, and so is an authorization. A capture and a void
change the PaymentIntent of the authorization, so its status answers for them. A refund is a Refund, again with the
operation's id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from paybridge.core.retry import parse_retry_after
from paybridge.payments.domain.decline_codes import (
    AUTHORIZATION_EXPIRED,
    CARD_DECLINED,
    failure_code_of,
    failure_message_of,
    shown_code,
)
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    GatewayAnswer,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.stripe_amounts import from_stripe
from paybridge.payments.gateways.reading import UNEXPLAINED
from paybridge.payments.ports import GatewayRequest

# Names in the metadata of Stripe's objects.
OPERATION_ID = "operation_id"
PAYMENT_ID = "payment_id"
# On the PaymentIntent of an authorization, the operation that captured it.
CAPTURE_ID = "capture_operation_id"

INVALID_METHOD = "invalid_payment_method"
# The error codes that say that an authorization can no longer be captured.
_EXPIRED = frozenset({"charge_expired_for_capture", "capture_charge_authorization_expired"})
_OK = 200
_NOT_FOUND = 404
_REFUSALS = frozenset({400, 402})
_UNDER_WAY = frozenset({409, 423, 425})
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
# "External Dependency Failed": as little a decision as an internal error.
_DEPENDENCY_FAILED = 424
# Stored in the database and shown to operators, so both must be able to take the text.
_GATEWAY_ID = re.compile(r"[!-~]{1,255}")

_PENDING = frozenset({"processing", "requires_action"})
_REFUND_PENDING = frozenset({"pending", "requires_action"})
_REFUND_FAILED = frozenset({"failed", "canceled"})
_ENDED = frozenset({"canceled", "requires_confirmation", "requires_payment_method"})

Record = Succeeded | PartlyApproved | Declined | Pending | NotFound | Contradictory | Unknown
_ABOUT_ANOTHER = Unknown(Fault.UNREADABLE, "an answer about another operation")


class StripeAnswer(NamedTuple):
    """Status, body and the headers that say something, and when the answer came."""

    status: int
    body: bytes
    retry_after: str | None
    is_replayed: bool
    time: datetime


class Page(NamedTuple):
    """A page of a list, and whether there are more."""

    objects: list[dict[str, Any]]
    has_more: bool


def read_answer(request: GatewayRequest, answer: StripeAnswer) -> GatewayAnswer:
    """Return what the answer to a POST says of the operation. Raises ValueError, KeyError or TypeError for nonsense."""
    if answer.status == _OK:
        record = read_object(request, orjson.loads(answer.body))
        # It was asked for and must be there.
        return Unknown(Fault.UNREADABLE, "a status that decides nothing") if isinstance(record, NotFound) else record
    if answer.status in _REFUSALS:
        return _read_refusal(request, answer)
    return _without_decision(answer)


def read_look_up(request: GatewayRequest, answer: StripeAnswer) -> LookUpAnswer:
    """Return what the object that the request is about says of the operation. Raises like `read_answer`."""
    if answer.status == _OK:
        return read_object(request, orjson.loads(answer.body))
    return _not_looked_up(answer)


def read_object(request: GatewayRequest, found: Mapping[str, Any]) -> Record:
    """Return what a PaymentIntent or a Refund says of the operation."""
    if request.kind is Kind.REFUND:
        return _read_refund(request, found)
    if found["object"] != "payment_intent" or _gateway_id(found) is None:
        raise ValueError("a PaymentIntent was expected")
    if request.kind is Kind.CAPTURE:
        return _read_capture(request, found)
    if request.kind is Kind.VOID:
        return _read_void(request, found)
    return _read_intent(request, found)


def is_about(request: GatewayRequest, found: Mapping[str, Any]) -> bool:
    """Tell whether a PaymentIntent or a Refund has the operation's id in its metadata."""
    metadata = found.get("metadata")
    return isinstance(metadata, dict) and metadata.get(OPERATION_ID) == str(request.operation_id)


def read_page(answer: StripeAnswer) -> Page | RateLimited | Unknown:
    """Return a page of a list. Raises like `read_answer`."""
    if answer.status != _OK:
        return _not_looked_up(answer)
    page = orjson.loads(answer.body)
    if not isinstance(page["data"], list):
        raise TypeError("a list was expected")
    return Page(page["data"], bool(page["has_more"]))


def _read_intent(request: GatewayRequest, intent: Mapping[str, Any]) -> Record:
    """Return what the PaymentIntent of a charge or an authorization says."""
    if not is_about(request, intent):
        return _ABOUT_ANOTHER
    status = intent["status"]
    if status in _PENDING:
        return Pending(str(intent["id"]))
    if status in _ENDED:
        return _read_ended(request, intent, status)
    return _read_authorized(request, intent) if request.kind is Kind.AUTHORIZATION else _read_charged(request, intent)


def _read_ended(request: GatewayRequest, intent: Mapping[str, Any], status: str) -> Record:
    """Nothing is held or taken: it was declined, or released since, or never begun."""
    error, charge = intent.get("last_payment_error"), intent.get("latest_charge")
    if isinstance(error, dict):
        return _declined(request.kind, _code_in(error))
    if status != "canceled":
        # Only a request of ours could confirm it.
        return NotFound()
    if request.kind is Kind.AUTHORIZATION and isinstance(charge, dict) and charge.get("status") == "succeeded":
        # That it was voided or has expired since is for its capture and its void.
        held = _card_of(intent).get("amount_authorized") or charge.get("amount")
        return _with_amount(request, intent, held, _capture_before(intent))
    return _declined(request.kind, intent.get("cancellation_reason"))


def _read_charged(request: GatewayRequest, intent: Mapping[str, Any]) -> Record:
    if intent["status"] == "succeeded":
        return _with_amount(request, intent, intent["amount_received"])
    if intent["status"] == "requires_capture":
        return Contradictory("Stripe holds the money of a charge and has not taken it", str(intent["id"]))
    return Unknown(Fault.UNREADABLE, "an unknown status of a PaymentIntent")


def _read_authorized(request: GatewayRequest, intent: Mapping[str, Any]) -> Record:
    if intent["status"] == "requires_capture":
        return _with_amount(request, intent, intent["amount_capturable"], _capture_before(intent))
    if intent["status"] == "succeeded":
        # It was captured since, perhaps in part. The amount of the PaymentIntent is what was held.
        return _with_amount(request, intent, intent["amount"])
    return Unknown(Fault.UNREADABLE, "an unknown status of a PaymentIntent")


def _read_capture(request: GatewayRequest, intent: Mapping[str, Any]) -> Record:
    """Return what the PaymentIntent of an authorization says of its capture: there is one, for good."""
    if not _is_target(request, intent):
        return _ABOUT_ANOTHER
    status, id_ = intent["status"], str(intent["id"])
    if status == "succeeded":
        return _read_captured(request, intent)
    if status in _PENDING:
        return Pending(id_)
    if status == "requires_capture":
        return NotFound()
    if status == "canceled":
        return _expired(intent)
    error = intent.get("last_payment_error")
    return _declined(request.kind, _code_in(error) if isinstance(error, dict) else None)


def _read_captured(request: GatewayRequest, intent: Mapping[str, Any]) -> Record:
    """A capture that names no operation was made by hand, in Stripe's dashboard."""
    id_ = str(intent["id"])
    if intent["metadata"].get(CAPTURE_ID) not in {None, str(request.operation_id)}:
        return Contradictory("another operation has captured it", id_)
    captured = _with_amount(request, intent, intent["amount_received"])
    return Contradictory("another amount was captured", id_) if isinstance(captured, PartlyApproved) else captured


def _read_void(request: GatewayRequest, intent: Mapping[str, Any]) -> Record:
    if not _is_target(request, intent):
        return _ABOUT_ANOTHER
    status, id_ = intent["status"], str(intent["id"])
    if status == "succeeded":
        return _declined(request.kind, "already_captured")
    if status == "processing":
        return Pending(id_)
    if status in {"canceled", "requires_payment_method"}:
        return Succeeded(id_)
    return NotFound()


def _read_refund(request: GatewayRequest, refund: Mapping[str, Any]) -> Record:
    if refund["object"] != "refund" or _gateway_id(refund) is None:
        raise ValueError("a Refund was expected")
    # A refund that was recorded late names the one that had been given up, and is known by Stripe's id.
    is_ours = is_about(request, refund) or refund["id"] == request.gateway_id
    if not is_ours or refund["payment_intent"] != request.target_gateway_id:
        return _ABOUT_ANOTHER
    status, id_ = refund["status"], str(refund["id"])
    if status in _REFUND_FAILED:
        return _declined(request.kind, refund.get("failure_reason"))
    if status in _REFUND_PENDING:
        return Pending(id_)
    if status != "succeeded":
        return Unknown(Fault.UNREADABLE, "an unknown status of a Refund")
    returned = _with_amount(request, refund, refund["amount"])
    return Contradictory("another amount was refunded", id_) if isinstance(returned, PartlyApproved) else returned


def _with_amount(
    request: GatewayRequest, found: Mapping[str, Any], amount: Any, expires_at: datetime | None = None
) -> Record:
    """Compare what Stripe says it moved or holds with what was asked for."""
    id_, currency = str(found["id"]), found.get("currency")
    # `true` is an int to Python, and 1.0 equals 1.
    if type(amount) is not int:
        return Contradictory("Stripe does not say how much", id_)
    if not isinstance(currency, str) or currency.upper() != request.currency:
        return Contradictory(f"another currency than {request.currency}", id_)
    minor = from_stripe(amount, request.currency, request.currency_places)
    if minor == request.amount_minor:
        return Succeeded(id_, expires_at)
    if minor is None or not 0 < minor < request.amount_minor:
        return Contradictory("another amount than was asked for", id_)
    return PartlyApproved(id_, minor)


def _read_refusal(request: GatewayRequest, answer: StripeAnswer) -> GatewayAnswer:
    error = orjson.loads(answer.body)["error"]
    said, code = f"Stripe answered {answer.status}", error.get("code")
    if error.get("type") == "idempotency_error":
        # Our request has another form than the first one under this key, such as that of an older release.
        return UnderWay(f"{said}: the key was used with other parameters")
    intent = error.get("payment_intent")
    if isinstance(intent, dict) and not _is_ours(request, intent):
        return _ABOUT_ANOTHER
    declined = _read_decline(request, error)
    if declined is not None:
        return declined
    if code == "resource_missing":
        return Unknown(Fault.NOT_SERVED, f"{said}: it has no such {shown_code(error.get('param'))}")
    return RefusedRequest(said, shown_code(code))


def _read_decline(request: GatewayRequest, error: Mapping[str, Any]) -> Declined | None:
    code = error.get("code")
    if code in _EXPIRED:
        return Declined(AUTHORIZATION_EXPIRED, failure_message_of(AUTHORIZATION_EXPIRED), shown_code(code))
    if error.get("type") == "card_error":
        return _declined(request.kind, _code_in(error))
    if code == "resource_missing" and error.get("param") == "payment_method":
        return Declined(INVALID_METHOD, failure_message_of(INVALID_METHOD), shown_code(code))
    return None


def _without_decision(answer: StripeAnswer) -> RateLimited | UnderWay | Unknown:
    said = f"Stripe answered {answer.status}"
    if answer.status in _UNDER_WAY:
        return UnderWay(said)
    if answer.status == _TOO_MANY_REQUESTS:
        # Another request holds the object. That says nothing of our rate.
        is_locked = b'"lock_timeout"' in answer.body
        return UnderWay(said) if is_locked else RateLimited(parse_retry_after(answer.retry_after, answer.time))
    if answer.status == _REQUEST_TIMEOUT:
        return Unknown(Fault.NO_ANSWER, said)
    if answer.status >= 500 or answer.status == _DEPENDENCY_FAILED:
        return Unknown(Fault.SERVER_ERROR, said)
    # 404 too. An object whose id Stripe gave us is missing only in another account, or in the other mode.
    return Unknown(Fault.NOT_SERVED, said)


def _not_looked_up(answer: StripeAnswer) -> RateLimited | Unknown:
    undecided = _without_decision(answer)
    return Unknown(Fault.SERVER_ERROR, undecided.error) if isinstance(undecided, UnderWay) else undecided


def _is_ours(request: GatewayRequest, intent: Mapping[str, Any]) -> bool:
    is_first = request.kind in {Kind.CHARGE, Kind.AUTHORIZATION}
    return is_about(request, intent) if is_first else intent.get("id") == request.target_gateway_id


def _is_target(request: GatewayRequest, intent: Mapping[str, Any]) -> bool:
    """Tell whether the PaymentIntent is that of the payment's authorization, whose operation has the payment's id."""
    metadata = intent.get("metadata")
    is_of_payment = isinstance(metadata, dict) and metadata.get(OPERATION_ID) == str(request.payment_id)
    return is_of_payment and intent["id"] == request.target_gateway_id


def _capture_before(intent: Mapping[str, Any]) -> datetime | None:
    """Return when the authorization expires, if Stripe says it."""
    moment = _card_of(intent).get("capture_before")
    return datetime.fromtimestamp(moment, UTC) if type(moment) is int else None


def _card_of(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the charge of a PaymentIntent says of the card; nothing if the charge is not expanded."""
    charge = intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, dict) else None
    card = details.get("card") if isinstance(details, dict) else None
    return card if isinstance(card, dict) else {}


def _expired(intent: Mapping[str, Any]) -> Declined:
    reason = intent.get("cancellation_reason")
    return Declined(AUTHORIZATION_EXPIRED, failure_message_of(AUTHORIZATION_EXPIRED), shown_code(reason))


def _declined(kind: Kind, code: Any) -> Declined:
    text = code if isinstance(code, str) else None
    failure_code = failure_code_of(text, UNEXPLAINED.get(kind, CARD_DECLINED))
    return Declined(failure_code, failure_message_of(failure_code), shown_code(text))


def _code_in(error: Mapping[str, Any]) -> str | None:
    """Return the code of an error: the issuer's if it gave one, else Stripe's."""
    for name in ("decline_code", "code"):
        code = error.get(name)
        if isinstance(code, str) and code:
            return code
    return None


def _gateway_id(found: Mapping[str, Any]) -> str | None:
    id_ = found.get("id")
    return id_ if isinstance(id_, str) and _GATEWAY_ID.fullmatch(id_) else None
