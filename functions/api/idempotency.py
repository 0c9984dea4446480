"""Answer what became of a request with an idempotency key."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.context import public_path
from api.problems import RETRY_AFTER_SECONDS, Problem
from paybridge.payments.idempotency import Answered, AnswerExpired, KeyedOutcome, KeyInFlight, KeyReused


@dataclass(frozen=True, slots=True)
class KeyedResource:
    """What requests with a key make or change, in the words of the answers.

    It is found at `prefix` and its id, which problems name in the member `id_member`. `noun` is "payment" and the like.
    `did` says what a request with the key did to it, such as "created".
    """

    prefix: str
    id_member: str
    noun: str
    did: str


def keyed_response(request: Request, outcome: KeyedOutcome, resource: KeyedResource) -> Response:
    """Return the response to a request that was accepted, now or before. Raises Problem (409, 422)."""
    match outcome:
        case Answered(resource_id, status, body, replayed):
            headers = _location(request, resource, resource_id)
            if replayed:
                headers["Idempotency-Replayed"] = "true"
            return Response(body, status, headers, "application/json")
        case KeyReused(resource_id):
            detail = (
                f"This Idempotency-Key {resource.did} the {resource.noun} in {resource.id_member}, by a request that "
                f"asked for something else. Read that {resource.noun} first. Send a new key only to make another "
                "request."
            )
            raise _names(request, resource, resource_id, 422, "idempotency_key_reused", detail)
        case KeyInFlight():
            detail = "A request with this Idempotency-Key is in progress. Retry it after the time in Retry-After."
            raise Problem(409, "idempotency_key_in_flight", detail, headers={"Retry-After": RETRY_AFTER_SECONDS})
        case AnswerExpired(resource_id):
            detail = (
                f"This Idempotency-Key {resource.did} a {resource.noun}, and the stored answer was deleted. Read the "
                f"{resource.noun} instead."
            )
            raise _names(request, resource, resource_id, 409, "idempotency_key_expired", detail)


def _names(
    request: Request, resource: KeyedResource, resource_id: UUID, status: int, code: str, detail: str
) -> Problem:
    return Problem(
        status,
        code,
        detail,
        headers=_location(request, resource, resource_id),
        extensions={resource.id_member: str(resource_id)},
    )


def _location(request: Request, resource: KeyedResource, resource_id: UUID) -> dict[str, str]:
    return {"Location": public_path(request, f"{resource.prefix}/{resource_id}")}
