"""Requests that move money of a payment: each has an idempotency key, and a JSON object that may be left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.context import calling_merchant, request_context
from api.idempotency import KeyedResource, keyed_response
from api.plain_route import read_body
from api.problems import Problem, validation_failed
from api.request.headers import parse_idempotency_key, single_header
from api.request.json_body import check_content_type, fingerprint, parse_object
from api.routes.payments.addresses import payment_id_of, payment_not_found
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.fields import FieldError, validate
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
class CommandKind(Generic[Body]):
    """A command that merchants may give: what it is made of, and what carries it out.

    `body` is the model of its body. `key_purpose` says what a key is for, given the payment. `run` is the use case, and
    `arguments` what it takes beside the payment and the key. `resource` is what the answer is about.
    """

    body: type[Body]
    key_purpose: Callable[[UUID], str]
    run: Callable[..., KeyedOutcome | OrderRefusal | None]
    arguments: Callable[[Body], Mapping[str, Any]]
    resource: KeyedResource


@dataclass(frozen=True, slots=True)
class Command(Generic[Body]):
    """A request under its key, and its validated body."""

    keyed: Keyed
    body: Body


async def answer_command(request: Request, payment_id: str, kind: CommandKind[Body]) -> Response:
    """Carry out the command in a request about a payment, or repeat what it was answered before.

    Raises Problem (400, 404, 409, 413, 415, 422).
    """
    id_ = payment_id_of(payment_id)
    command = await _read(request, kind.body, kind.key_purpose(id_))
    if not isinstance(command, Command):
        return keyed_response(request, command, kind.resource)
    context = request_context(request)
    outcome = kind.run(
        context.services.database,
        context.services.clock,
        context.services.ids,
        keyed=command.keyed,
        payment_id=id_,
        correlation_id=context.correlation_id,
        **kind.arguments(command.body),
    )
    if outcome is None:
        raise payment_not_found()
    if isinstance(outcome, OrderRefusal):
        raise _refused(outcome)
    return keyed_response(request, outcome, kind.resource)


async def _read(request: Request, model: type[Body], purpose: str) -> Command[Body] | Answered | AnswerExpired:
    """Return the command in a request, or what it was answered before, if its body breaks a rule that is new."""
    headers = request.headers
    key = parse_idempotency_key(single_header(headers, "Idempotency-Key"))
    check_content_type(single_header(headers, "Content-Type"), headers.get("content-encoding"))
    raw = await read_body(request)
    members = parse_object(raw) if raw else {}
    keyed = Keyed(calling_merchant(request), purpose, IdempotentRequest(key, fingerprint(members)))
    body, faults = validate(model, members)
    if body is not None:
        return Command(keyed, body)
    with suppress(DatabaseUnavailable):
        earlier = find_earlier_answer(request_context(request).services.database, keyed)
        if earlier is not None:
            return earlier
    raise validation_failed(faults)


def _refused(refusal: OrderRefusal) -> Problem:
    code, detail = refusal.code, refusal.detail
    if refusal.field_name is None:
        return Problem(409, code, detail, extensions=refusal.members)
    errors = [FieldError(refusal.field_name, code, detail)]
    return Problem(422, code, detail, errors=errors, extensions=refusal.members)
