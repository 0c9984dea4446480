"""Read what a gateway's HTTP answer says about an operation: pure functions of status and body.

An answer settles an operation only if it is about ours and says so in its own words. A status without such words says
at most that the request was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.core.retry import parse_retry_after
from paybridge.payments.domain.decline_codes import (
    CAPTURE_DECLINED,
    CARD_DECLINED,
    REFUND_DECLINED,
    REFUND_REVERSED,
    VOID_DECLINED,
    failure_code_of,
    failure_message_of,
    is_decline_code,
    is_excess_code,
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
from paybridge.payments.domain.operation import FIRST_KINDS, Kind
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
# The gateway says that it did nothing and will do nothing.
DECLINED_STATUSES = frozenset({"declined", "failed", "canceled", "cancelled"})
# The hold of an authorization is over, and nothing was taken by it.
RELEASED_STATES = frozenset({"voided", "expired"})
CAPTURED_STATE = "captured"
# Stored in the database and shown to operators, so both must be able to take the text.
_GATEWAY_ID = re.compile(r"[!-~]{1,255}")

# Our code for a decline that the gateway does not explain in words we know.
UNEXPLAINED = {Kind.CAPTURE: CAPTURE_DECLINED, Kind.VOID: VOID_DECLINED, Kind.REFUND: REFUND_DECLINED}

# A success outweighs all other records. One that is unclear or pending outweighs a decline.
BY_WEIGHT = (Succeeded, PartlyApproved, Contradictory, Unknown, Pending, Declined)

Record = Succeeded | PartlyApproved | Declined | Pending | Contradictory | Unknown


def read_answer(
    request: GatewayRequest, status: int, body: bytes, retry_after: str | None, now: datetime
) -> GatewayAnswer:
    """Return what the answer to a request says. Raises ValueError, KeyError or TypeError for nonsense."""
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
    """Return what the answer to a look-up of our reference says. Raises like `read_answer`.

    404 says that the gateway has never heard of the reference. At a wrong address everything is 404, but there the
    request itself is answered with it too, and that is Unknown.
    """
    if status == NOT_FOUND:
        return NotFound()
    if status != 200:
        return _without_decision(status, retry_after, now)
    records = orjson.loads(body)
    if not isinstance(records, list):
        raise TypeError("a look-up answers with a list")
    request = _as_recorded(request, records)
    if _is_taken_back(request, records):
        return _declined(Kind.REFUND, REFUND_REVERSED)
    found = [_read_record(request, record) for record in records if _is_ours(request, record)]
    weightiest = next((each for kind in BY_WEIGHT for each in found if isinstance(each, kind)), None)
    if weightiest is not None and not isinstance(weightiest, Declined):
        return weightiest
    return _read_end_of_hold(request, records) or weightiest or NotFound()


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
    """202 says that the gateway has the operation, whatever its body says."""
    try:
        read = _read_record(request, orjson.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Pending()
    return Pending() if isinstance(read, Unknown) else read


def _read_refusal(request: GatewayRequest, status: int, body: bytes) -> Record | RefusedRequest | UnderWay:
    error = f"the gateway answered {status}"
    answer = _object(body)
    if answer is None:
        return RefusedRequest(error)
    if answer.get("reference", str(request.payment_id)) != str(request.payment_id) or _is_of_another(request, answer):
        return _about_another()
    codes = list(_codes(answer))
    if any(is_under_way_code(code) for code in codes):
        return UnderWay(error)
    return _read_decline(request, answer, codes) or RefusedRequest(error, shown_code(next(iter(codes), None)))


def _read_decline(request: GatewayRequest, answer: Mapping[str, Any], codes: list[str]) -> Declined | None:
    """Return the decision in a refusal, if it holds one. A word about what is left of the money is none."""
    # An earlier request for this very operation may be what has left too little.
    if request.kind not in FIRST_KINDS and any(is_excess_code(code) for code in codes):
        return None
    if answer.get("status") in DECLINED_STATUSES or _has_decline_member(answer):
        return _declined(request.kind, codes[0] if codes else None)
    # The member `code` names whatever the gateway likes; it is a decline only by a name that we know.
    known = next((code for code in codes if is_decline_code(code)), None)
    return _declined(request.kind, known) if known is not None else None


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _is_ours(request: GatewayRequest, record: Mapping[str, Any]) -> bool:
    """Return whether a record of our reference is this operation's. Older records of charges name no operation."""
    if record["kind"] != request.kind:
        return False
    operation_id = record.get("operation_id")
    return operation_id == str(request.operation_id) or (operation_id is None and request.kind is Kind.CHARGE)


def _as_recorded(request: GatewayRequest, records: Iterable[Mapping[str, Any]]) -> GatewayRequest:
    """Return the request under the operation's id in the gateway's record of it, found by the gateway's own id."""
    if request.kind is Kind.REFUND and request.gateway_id is not None:
        for record in records:
            named = record.get("operation_id")
            if record["kind"] == Kind.REFUND and record.get("id") == request.gateway_id and isinstance(named, str):
                return replace(request, operation_id=UUID(named))
    return request


def _is_taken_back(request: GatewayRequest, records: Iterable[Mapping[str, Any]]) -> bool:
    operation_id = str(request.operation_id)
    return any(
        record["kind"] == Kind.REFUND_REVERSAL and record.get("operation_id") == operation_id for record in records
    )


def _read_end_of_hold(
    request: GatewayRequest, records: Iterable[Mapping[str, Any]]
) -> Succeeded | Contradictory | None:
    """Return what the end of the authorization says about a void or capture that was not recorded as done.

    A hold that is over needs no void. One that another operation captured is a matter for a person.
    """
    holds = [
        record
        for record in records
        if record["kind"] == Kind.AUTHORIZATION and request.target_gateway_id in (None, record.get("id"))
    ]
    state = holds[-1].get("state") if holds else None
    if request.kind is Kind.VOID and state in RELEASED_STATES and (gateway_id := _usable_id(holds[-1])) is not None:
        return Succeeded(gateway_id)
    if request.kind is Kind.CAPTURE and state == CAPTURED_STATE:
        return Contradictory("the gateway captured the authorization by another operation")
    return None


def _read_record(request: GatewayRequest, record: Mapping[str, Any]) -> Record:
    """Return what an operation on the gateway's record says; Unknown unless it is clear and about ours."""
    if record["reference"] != str(request.payment_id) or _is_of_another(request, record):
        return _about_another()
    status = record["status"]
    if status in DECLINED_STATUSES:
        return _declined(request.kind, next(_codes(record), None))
    if status in PENDING_STATUSES:
        return Pending(_usable_id(record))
    if status != "succeeded":
        return Unknown(Fault.UNREADABLE, "a status that is neither succeeded, declined nor pending")
    return _read_success(request, record)


def _read_success(request: GatewayRequest, record: Mapping[str, Any]) -> Record:
    gateway_id = _usable_id(record)
    if gateway_id is None:
        return Contradictory("the gateway succeeded and gave no usable id")
    # A void releases the whole, whatever amount it names.
    if request.kind is Kind.VOID:
        return Succeeded(gateway_id)
    if (contradiction := _contradiction(request, record)) is not None:
        return Contradictory(contradiction, gateway_id)
    if record["amount_minor"] < request.amount_minor:
        return PartlyApproved(gateway_id, record["amount_minor"])
    return Succeeded(gateway_id, _expires_at(record) if request.kind is Kind.AUTHORIZATION else None)


def _contradiction(request: GatewayRequest, record: Mapping[str, Any]) -> str | None:
    """Return how a success differs from what was asked for, other than by a smaller amount."""
    amount_minor, currency = record.get("amount_minor"), record.get("currency")
    # `true` is an int to Python, and 1.0 equals 1.
    if type(amount_minor) is not int or amount_minor <= 0:
        return "the gateway succeeded and did not say with how much"
    if not isinstance(currency, str) or currency.upper() != request.currency:
        return f"the gateway used another currency than {request.currency}"
    return "the gateway took more than was asked for" if amount_minor > request.amount_minor else None


def _usable_id(record: Mapping[str, Any]) -> str | None:
    gateway_id = record.get("id")
    return gateway_id if isinstance(gateway_id, str) and _GATEWAY_ID.fullmatch(gateway_id) else None


def _expires_at(record: Mapping[str, Any]) -> datetime | None:
    """Return when the hold ends. A time without a zone, or none, leaves it to our own limit."""
    try:
        expires_at = datetime.fromisoformat(record["expires_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return expires_at if expires_at.tzinfo is not None else None


def _declined(kind: Kind, code: str | None) -> Declined:
    failure_code = failure_code_of(code, UNEXPLAINED.get(kind, CARD_DECLINED))
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


def _is_of_another(request: GatewayRequest, record: Mapping[str, Any]) -> bool:
    """Return whether the record names another operation of our reference, or another kind."""
    operation_id = record.get("operation_id")
    is_other = operation_id is not None and operation_id != str(request.operation_id)
    return is_other or bool(record.get("kind", request.kind) != request.kind)


def _about_another() -> Unknown:
    return Unknown(Fault.UNREADABLE, "an answer about another operation")
