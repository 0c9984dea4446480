"""Dead letters: which messages are the same, why they died, and what may become of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.raw_messages import RawMessage
from paybridge.core.times import format_time

REASON_CHARACTERS_MAX = 1000
NOTE_CHARACTERS_MAX = 1000
ID_CHARACTERS_MAX = 255
# The counter of messages taken from dead-letter queues.
DEAD_LETTERS_RECORDED = "dead_letter.recorded"
UNKNOWN_REASON = "unknown"
UTF8_BYTES_MAX = 4

# Set by us when we dead-letter a message: why, and from which queue.
REASON_HEADER = "x-paybridge-reason"
QUEUE_HEADER = "x-paybridge-queue"
REDRIVE_HEADER = "x-paybridge-redrive"
# The AMQP type of what we dead-letter.
DEAD_LETTER_TYPE = "dead-letter"

# What the broker or an earlier death added. A copy would carry counters over to the new attempt, and CC and BCC would
# send further copies to other queues.
_DROPPED_HEADERS = frozenset(
    {
        "x-death",
        "x-delivery-count",
        "x-acquired-count",
        "cc",
        "bcc",
        "x-delay",
        REASON_HEADER,
        QUEUE_HEADER,
        REDRIVE_HEADER,
    }
)
_DROPPED_PREFIXES = ("x-first-death-", "x-last-death-", "x-opt-")
# Counted by the broker with every delivery, so they differ between two deliveries of one death.
_COUNTERS = ("x-delivery-count", "x-acquired-count")

_SHARD = re.compile(r"\.[0-9]+$")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEXADECIMAL = re.compile(r"\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
# Our functions number messages that have no id by their place in the batch, which says nothing about the message.
_PLACE_IN_BATCH = re.compile(r"poison-[0-9]+")


class State(StrEnum):
    """What has become of a dead letter."""

    DEAD = "dead"
    REDRIVING = "redriving"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class Death:
    """What one arrival in a dead-letter queue says about a message."""

    # The message's identity: 32 bytes. The same message dies again with the same one.
    identity: bytes
    # 32 bytes. A second delivery of the same death has the same one.
    digest: bytes
    dead_letter_queue: str
    # Where it died, without the number of the shard.
    queue: str
    reason: str
    fingerprint: str
    message_id: str
    message_type: str
    correlation_id: str
    headers: Mapping[str, Any]
    deaths: list[Any]
    body: bytes
    redelivered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A recorded dead letter, without its content."""

    id: UUID
    state: State
    queue: str
    dead_letter_queue: str
    reason: str
    fingerprint: str
    count: int
    redrives: int
    first_seen_at: datetime
    last_seen_at: datetime
    message_id: str
    message_type: str
    correlation_id: str
    payment_id: UUID | None
    body_bytes: int
    redrive_id: UUID | None
    closed_at: datetime | None
    closed_by: str | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What an operator did with a dead letter."""

    action: str
    actor: str
    note: str | None
    redrive_id: UUID | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterContent:
    """A dead letter with what is too large for a list. `body` may be the beginning only."""

    letter: DeadLetter
    body: bytes
    headers: Mapping[str, Any]
    deaths: list[Any]
    actions: list[Action]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Dead letters of one fingerprint. `count` is their number, `example_id` the newest of them."""

    fingerprint: str
    queue: str
    reason: str
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    example_id: UUID


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant: exactly one of the members is set for a redrive, any number for a list."""

    ids: tuple[UUID, ...] | None = None
    fingerprint: str | None = None
    queue: str | None = None
    state: State | None = None


def death_of(message: RawMessage) -> Death:
    """Return where and why the message died, and what identifies it."""
    broker_deaths = _deaths(message.headers)
    queue = whole_queue(_origin(message, broker_deaths))
    reason = _reason(message, broker_deaths)
    is_ours = message.type == DEAD_LETTER_TYPE
    message_id = "" if _PLACE_IN_BATCH.fullmatch(message.message_id) else message.message_id[:ID_CHARACTERS_MAX]
    return Death(
        identity=_digest(queue.encode(), message_id.encode(), message.body),
        digest=_digest(_canonical({k: v for k, v in message.headers.items() if k.lower() not in _COUNTERS})),
        dead_letter_queue=message.queue,
        queue=queue,
        reason=reason,
        fingerprint=fingerprint(queue, reason),
        message_id=message_id,
        # Our functions set type and correlation id of what they dead-letter, so these say nothing about the message.
        message_type="" if is_ours else message.type[:ID_CHARACTERS_MAX],
        correlation_id="" if is_ours else message.correlation_id[:ID_CHARACTERS_MAX],
        headers={name: value for name, value in message.headers.items() if name.lower() != "x-death"},
        deaths=broker_deaths,
        body=message.body,
        redelivered=message.redelivered,
    )


def fingerprint(queue: str, reason: str) -> str:
    """Return 16 hexadecimal digits that equal faults in one queue share, whichever payment they concern."""
    normalised = _UUID.sub("<id>", reason)
    normalised = _HEXADECIMAL.sub("<id>", normalised)
    normalised = _NUMBER.sub("<n>", normalised)
    return _digest(queue.encode(), normalised.encode()).hex()[:16]


def whole_queue(queue: str) -> str:
    """Return the queue of which this one is a shard, or the queue itself."""
    return _SHARD.sub("", queue)


def redrive_headers(headers: Mapping[str, Any], redrive_id: UUID) -> dict[str, Any]:
    """Return the headers for a redriven message: the sender's own, and the redrive's id.

    Counters and deaths are left out, so the message starts with all its attempts.
    """
    kept = {name: value for name, value in headers.items() if not _is_of_the_broker(name)}
    return {**kept, REDRIVE_HEADER: str(redrive_id)}


def dead_letter_view(letter: DeadLetter) -> dict[str, Any]:
    """Return the dead letter as the API and the command show it, JSON-ready."""
    return {
        "dead_letter_id": str(letter.id),
        "state": letter.state,
        "queue": letter.queue,
        "reason": letter.reason,
        "fingerprint": letter.fingerprint,
        "count": letter.count,
        "redrives": letter.redrives,
        "first_seen_at": format_time(letter.first_seen_at),
        "last_seen_at": format_time(letter.last_seen_at),
        "dead_letter_queue": letter.dead_letter_queue,
        "message_id": letter.message_id or None,
        "type": letter.message_type or None,
        "payment_id": str(letter.payment_id) if letter.payment_id else None,
        "correlation_id": letter.correlation_id or None,
        "body_bytes": letter.body_bytes,
        "redrive_id": str(letter.redrive_id) if letter.redrive_id else None,
        "discarded_at": format_time(letter.closed_at) if letter.closed_at else None,
        "discarded_by": letter.closed_by,
        "note": letter.note,
    }


def content_view(content: DeadLetterContent) -> dict[str, Any]:
    """Return the dead letter with body, headers, deaths and what operators did with it."""
    text = _decoded(content.body, is_whole=len(content.body) == content.letter.body_bytes)
    return {
        **dead_letter_view(content.letter),
        "body": text if text is not None else base64.b64encode(content.body).decode(),
        "body_encoding": "utf-8" if text is not None else "base64",
        "body_truncated": len(content.body) < content.letter.body_bytes,
        "headers": content.headers,
        "deaths": content.deaths,
        "actions": [
            {
                "action": one.action,
                "actor": one.actor,
                "note": one.note,
                "redrive_id": str(one.redrive_id) if one.redrive_id else None,
                "at": format_time(one.at),
            }
            for one in content.actions
        ],
    }


def group_view(group: Group) -> dict[str, Any]:
    """Return the group, JSON-ready."""
    return {
        "fingerprint": group.fingerprint,
        "queue": group.queue,
        "reason": group.reason,
        "count": group.count,
        "first_seen_at": format_time(group.first_seen_at),
        "last_seen_at": format_time(group.last_seen_at),
        "example_id": str(group.example_id),
    }


def _decoded(body: bytes, *, is_whole: bool) -> str | None:
    """Return the body as text, or None if it is none. The last character of a beginning may be cut off."""
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        cut = not is_whole and error.reason == "unexpected end of data" and error.start > len(body) - UTF8_BYTES_MAX
        return body[: error.start].decode() if cut else None


def _is_of_the_broker(name: str) -> bool:
    lower = name.lower()
    return lower in _DROPPED_HEADERS or lower.startswith(_DROPPED_PREFIXES)


def _origin(message: RawMessage, deaths: list[Any]) -> str:
    """Return the queue that the message came from, or the dead-letter queue if nothing names one."""
    candidates = [
        message.headers.get(QUEUE_HEADER),
        *(death.get("queue") for death in deaths if isinstance(death, Mapping)),
        message.headers.get("x-first-death-queue"),
    ]
    return next((_text(one) for one in candidates if isinstance(one, str) and one), message.queue)


def _reason(message: RawMessage, deaths: list[Any]) -> str:
    candidates = [
        message.headers.get(REASON_HEADER),
        *(death.get("reason") for death in deaths if isinstance(death, Mapping)),
        message.headers.get("x-first-death-reason"),
    ]
    return next((_text(one) for one in candidates if isinstance(one, str) and one.strip()), UNKNOWN_REASON)


def _deaths(headers: Mapping[str, Any]) -> list[Any]:
    deaths = headers.get("x-death")
    return deaths if isinstance(deaths, list) else []


def _text(value: str) -> str:
    return value[:REASON_CHARACTERS_MAX]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(*parts: bytes) -> bytes:
    """Return the SHA-256 of the parts, each with its length, so that no two lists of parts are alike."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
