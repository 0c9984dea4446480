"""Requests that move money of a payment: each has an idempotency key, and a JSON object that may be left out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.context import calling_merchant, request_context
from api.idempotency import KeyedResource, keyed_response
from api.plain_route import read_body
from api.problems import FieldError, Problem, validation_failed
from api.request.fields import validate
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type, fingerprint, parse_object
from api.routes.payments.addresses import payment_not_found
from paybridge.core.errors import DatabaseUnavailable
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import (
    Answered,
    AnswerExpired,
    IdempotentRequest,
    Keyed,
    KeyedOutcome,
    find_earlier_answer,
)

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Command(Generic[Body]):
    """A request under its key, and its validated body."""

    keyed: Keyed
    body: Body


async def read_command(request: Request, model: type[Body], operation: str) -> Command[Body] | Answered | AnswerExpired:
    """Return the command in a request, or what it was answered before, if its body breaks a rule that is new.

    `operation` says what the key is for. Raises Problem (400, 413, 415, 422).
    """
    headers = request.headers
    key = parse_idempotency_key(single_header(headers, "Idempotency-Key"))
    check_content_type(single_header(headers, "Content-Type"), headers.get("content-encoding"))
    raw = await read_body(request)
    members = parse_object(raw) if raw else {}
    keyed = Keyed(calling_merchant(request), operation, IdempotentRequest(key, fingerprint(members)))
    body, faults = validate(model, members)
    if body is not None:
        return Command(keyed, body)
    with suppress(DatabaseUnavailable):
        earlier = find_earlier_answer(request_context(request).services.database, keyed)
        if earlier is not None:
            return earlier
    raise validation_failed(faults)


def command_response(
    request: Request, outcome: KeyedOutcome | OrderRefusal | None, resource: KeyedResource
) -> Response:
    """Return the response to a command that was accepted, now or before. Raises Problem (404, 409, 422)."""
    if outcome is None:
        raise payment_not_found()
    if isinstance(outcome, OrderRefusal):
        raise _refused(outcome)
    return keyed_response(request, outcome, resource)


def _refused(refusal: OrderRefusal) -> Problem:
    code, detail = refusal.code, refusal.detail
    if refusal.field_name is None:
        return Problem(409, code, detail, extensions=refusal.members)
    errors = [FieldError(refusal.field_name, code, detail)]
    return Problem(422, code, detail, errors=errors, extensions=refusal.members)
