"""Answer a repeated request as the first one was answered.

Every request that creates or moves money comes with a key. `Keyed` says what the key is for. A use case does its work
and takes the key in one statement. If the key is taken, `earlier_answer` says by what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database
from paybridge.payments.store import idempotency_keys
from paybridge.payments.store.idempotency_keys import KeyClaim, KeyedAnswer

ACCEPTED_STATUS = 202
KEY_CHARACTERS_MAX = 255

_VISIBLE = re.compile(r"[!-~]+")


def is_usable_key(key: str) -> bool:
    """Tell whether a key is 1 to KEY_CHARACTERS_MAX visible ASCII characters."""
    return len(key) <= KEY_CHARACTERS_MAX and _VISIBLE.fullmatch(key) is not None


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """The key that makes repeating safe, and a SHA-256 by which the same request is known.

    Equal fingerprints are the same request. A use case says whether other ones may be.
    """

    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The request is accepted; `replayed` if this repeats the answer to an earlier request with the same key.

    `resource_id` is what the request made or changed.
    """

    resource_id: UUID
    status: int
    body: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key was used by a request that asked for something else."""

    resource_id: UUID


@dataclass(frozen=True, slots=True)
class KeyInFlight:
    """An earlier request with this key is still running."""


@dataclass(frozen=True, slots=True)
class AnswerExpired:
    """The request was accepted, but its answer is too old to be kept."""

    resource_id: UUID


KeyedOutcome = Answered | KeyReused | KeyInFlight | AnswerExpired


@dataclass(frozen=True, slots=True)
class Keyed:
    """A merchant's request under its key. A key may be used once for each `operation`."""

    merchant_id: UUID
    operation: str
    request: IdempotentRequest


def accepted(keyed: Keyed, resource_id: UUID, body: bytes, now: datetime) -> tuple[KeyClaim, Answered]:
    """Return the claim that takes the key with this answer, and the answer."""
    request = keyed.request
    claim = KeyClaim(
        keyed.merchant_id,
        keyed.operation,
        request.key,
        request.fingerprint,
        resource_id,
        ACCEPTED_STATUS,
        body.decode(),
        now,
    )
    return claim, Answered(resource_id, ACCEPTED_STATUS, body, replayed=False)


def find_earlier_answer(database: Database, keyed: Keyed) -> Answered | AnswerExpired | None:
    """Return the answer to an earlier request with this key and fingerprint, None if there is none.

    A request that was accepted stays accepted when it is repeated, even if a rule has become stricter since. Raises
    DatabaseUnavailable.
    """
    earlier = _find(database, keyed)
    is_same = earlier is not None and earlier.fingerprint == keyed.request.fingerprint
    return _repeated(earlier) if earlier is not None and is_same else None


def earlier_answer(
    database: Database, keyed: Keyed, is_same_request: Callable[[UUID], bool]
) -> Answered | KeyReused | AnswerExpired | None:
    """Return what became of the earlier request with this key, None if there is none yet.

    `is_same_request` tells whether the resource of a request with another fingerprint is what this request asks for.
    Raises DatabaseUnavailable.
    """
    # A new statement, because the one that met the conflict cannot see a row committed after it began.
    earlier = _find(database, keyed)
    if earlier is None:
        return None
    if earlier.fingerprint != keyed.request.fingerprint and not is_same_request(earlier.resource_id):
        return KeyReused(earlier.resource_id)
    return _repeated(earlier)


def earlier_answers(
    database: Database, many: Sequence[Keyed], is_same_request: Callable[[int, UUID], bool]
) -> list[Answered | KeyReused | AnswerExpired | None]:
    """Return for each request what `earlier_answer` returns; `is_same_request` is given its number as well."""
    found = idempotency_keys.find_many(database, [(one.merchant_id, one.operation, one.request.key) for one in many])
    answers: list[Answered | KeyReused | AnswerExpired | None] = []
    for number, (keyed, earlier) in enumerate(zip(many, found, strict=True)):
        if earlier is None:
            answers.append(None)
        elif earlier.fingerprint == keyed.request.fingerprint or is_same_request(number, earlier.resource_id):
            answers.append(_repeated(earlier))
        else:
            answers.append(KeyReused(earlier.resource_id))
    return answers


def _find(database: Database, keyed: Keyed) -> KeyedAnswer | None:
    return idempotency_keys.find(database, keyed.merchant_id, keyed.operation, keyed.request.key)


def _repeated(earlier: KeyedAnswer) -> Answered | AnswerExpired:
    if earlier.response_body is None:
        return AnswerExpired(earlier.resource_id)
    return Answered(earlier.resource_id, earlier.response_status, earlier.response_body.encode(), replayed=True)
