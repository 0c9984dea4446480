"""Read what a gateway's HTTP answer says about a charge: pure functions of status and body.

An answer settles a charge only if it is about our reference and says so in its own words. A status without such words
says at most that the request was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from paybridge.core.retry import parse_retry_after
from paybridge.payments.domain.decline_codes import (
    failure_code_of,
    failure_message_of,
    is_decline_code,
    is_under_way_code,
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
from paybridge.payments.ports import GatewayRequest

CREATED = frozenset({200, 201})
ACCEPTED = 202
# These may carry a decision about the card; without one they refuse the request.
REFUSALS = frozenset({400, 402, 422})
# The request repeats one that may be at work: 409, 423 and 425 (Too Early).
UNDER_WAY = frozenset({409, 423, 425})
TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
NOT_FOUND = 404

PENDING_STATUSES = frozenset({"pending", "processing"})
# The gateway says that it took nothing and will take nothing.
DECLINED_STATUSES = frozenset({"declined", "failed", "canceled", "cancelled"})
# Stored in the database and shown to operators, so both must be able to take the text.
_GATEWAY_ID = re.compile(r"[!-~]{1,255}")

# A successful charge outweighs all other records. One that is unclear or pending outweighs a decline.
_BY_WEIGHT = (Succeeded, PartlyApproved, Contradictory, Unknown, Pending, Declined)

Record = Succeeded | PartlyApproved | Declined | Pending | Contradictory | Unknown


def read_charge_answer(
    request: GatewayRequest, status: int, body: bytes, retry_after: str | None, now: datetime
) -> GatewayAnswer:
    """Return what the answer to a request to charge says. Raises ValueError, KeyError or TypeError for nonsense."""
    if status in CREATED:
        return _read_record(request, orjson.loads(body))
    if status == ACCEPTED:
        return _read_accepted(request, body)
    if status in REFUSALS:
        return _read_refusal(request, status, body)
    if status in UNDER_WAY:
        return UnderWay(f"the gateway answered {status}")
    return _without_decision(status, retry_after, now)


def read_look_up_answer(
    request: GatewayRequest, status: int, body: bytes, retry_after: str | None, now: datetime
) -> LookUpAnswer:
    """Return what the answer to a look-up of our reference says. Raises like `read_charge_answer`.

    404 says that the gateway has never heard of the reference. At a wrong address everything is 404, but there the
    request to charge is answered with it too, and that is Unknown.
    """
    if status == NOT_FOUND:
        return NotFound()
    if status != 200:
        return _without_decision(status, retry_after, now)
    records = orjson.loads(body)
    if not isinstance(records, list):
        raise TypeError("a look-up answers with a list")
    found = [_read_record(request, record) for record in records if record["kind"] == "charge"]
    return next((each for kind in _BY_WEIGHT for each in found if isinstance(each, kind)), NotFound())


def _without_decision(status: int, retry_after: str | None, now: datetime) -> RateLimited | Unknown:
    error = f"the gateway answered {status}"
    if status == TOO_MANY_REQUESTS:
        return RateLimited(parse_retry_after(retry_after, now))
    if status == REQUEST_TIMEOUT:
        return Unknown(Fault.NO_ANSWER, error)
    if status >= 500:
        return Unknown(Fault.SERVER_ERROR, error)
    return Unknown(Fault.NOT_SERVED, error)


def _read_accepted(request: GatewayRequest, body: bytes) -> Record:
    """202 says that the gateway has the charge, whatever its body says."""
    try:
        read = _read_record(request, orjson.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Pending()
    return Pending() if isinstance(read, Unknown) else read


def _read_refusal(request: GatewayRequest, status: int, body: bytes) -> Record | RefusedRequest | UnderWay:
    error = f"the gateway answered {status}"
    try:
        answer = orjson.loads(body)
    except ValueError:
        return RefusedRequest(error)
    if not isinstance(answer, dict):
        return RefusedRequest(error)
    if _is_about_another(request, answer):
        return Unknown(Fault.UNREADABLE, "an answer about another charge")
    codes = list(_codes(answer))
    if any(is_under_way_code(code) for code in codes):
        return UnderWay(error)
    if answer.get("status") in DECLINED_STATUSES or _has_decline_member(answer):
        return _declined(codes[0] if codes else None)
    # The member `code` names whatever the gateway likes; it is a decline only by a name that we know.
    known = next((code for code in codes if is_decline_code(code)), None)
    return _declined(known) if known is not None else RefusedRequest(error, shown_code(next(iter(codes), None)))


def _read_record(request: GatewayRequest, charge: Mapping[str, Any]) -> Record:
    """Return what a charge on the gateway's record says; Unknown unless it is clear and about our reference."""
    if charge["reference"] != str(request.payment_id):
        return Unknown(Fault.UNREADABLE, "an answer about another charge")
    status = charge["status"]
    if status in DECLINED_STATUSES:
        return _declined(next(_codes(charge), None))
    if status in PENDING_STATUSES:
        return Pending()
    if status != "succeeded":
        return Unknown(Fault.UNREADABLE, "a status that is neither succeeded, declined nor pending")
    return _read_success(request, charge)


def _read_success(request: GatewayRequest, charge: Mapping[str, Any]) -> Record:
    gateway_id, amount_minor = charge.get("id"), charge.get("amount_minor")
    if not isinstance(gateway_id, str) or not _GATEWAY_ID.fullmatch(gateway_id):
        return Contradictory("the gateway charged and gave no usable id")
    # `true` is an int to Python, and 1.0 equals 1.
    if type(amount_minor) is not int or amount_minor <= 0:
        return Contradictory("the gateway charged and did not say how much", gateway_id)
    currency = charge.get("currency")
    if not isinstance(currency, str) or currency.upper() != request.currency:
        return Contradictory(f"the gateway charged in another currency than {request.currency}", gateway_id)
    if amount_minor > request.amount_minor:
        return Contradictory("the gateway charged more than was asked for", gateway_id)
    if amount_minor < request.amount_minor:
        return PartlyApproved(gateway_id, amount_minor)
    return Succeeded(gateway_id)


def _declined(code: str | None) -> Declined:
    failure_code = failure_code_of(code)
    return Declined(failure_code, failure_message_of(failure_code), shown_code(code))


def _codes(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the codes in the answer, the most specific first, from the places where gateways put them."""
    inner = answer.get("error")
    for holder in (answer, inner if isinstance(inner, dict) else {}):
        for name in ("failure_code", "decline_code", "code", "error"):
            code = holder.get(name)
            if isinstance(code, str) and code.strip():
                yield code
            elif type(code) is int:
                yield str(code)


def _has_decline_member(answer: Mapping[str, Any]) -> bool:
    inner = answer.get("error")
    holders = (answer, inner if isinstance(inner, dict) else {})
    return any(holder.get(name) for holder in holders for name in ("failure_code", "decline_code"))


def _is_about_another(request: GatewayRequest, answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("reference", str(request.payment_id)) != str(request.payment_id))
