"""Dead letters: which messages are the same, why they died, and what may become of them."""

from __future__ import annotations

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

REASON_CHARACTERS_MAX = 1000
ID_CHARACTERS_MAX = 255
UNKNOWN_REASON = "unknown"

# Set by us when we dead-letter a message: why, and from which queue.
REASON_HEADER = "x-paybridge-reason"
QUEUE_HEADER = "x-paybridge-queue"
REDRIVE_HEADER = "x-paybridge-redrive"

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
    # Where it died.
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
    """A recorded dead letter. `body` is None where it was not asked for."""

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
    body: bytes | None = None
    headers: Mapping[str, Any] | None = None
    deaths: list[Any] | None = None


def death_of(message: RawMessage) -> Death:
    """Return where and why the message died, and what identifies it."""
    broker_deaths = _deaths(message.headers)
    queue = _origin(message, broker_deaths)
    reason = _reason(message, broker_deaths)
    message_id = "" if _PLACE_IN_BATCH.fullmatch(message.message_id) else message.message_id[:ID_CHARACTERS_MAX]
    return Death(
        identity=_digest(whole_queue(queue).encode(), message_id.encode(), message.body),
        digest=_digest(_canonical({k: v for k, v in message.headers.items() if k.lower() not in _COUNTERS})),
        dead_letter_queue=message.queue,
        queue=queue,
        reason=reason,
        fingerprint=fingerprint(queue, reason),
        message_id=message_id,
        message_type=message.type[:ID_CHARACTERS_MAX],
        correlation_id=message.correlation_id[:ID_CHARACTERS_MAX],
        headers={name: value for name, value in message.headers.items() if name.lower() != "x-death"},
        deaths=broker_deaths,
        body=message.body,
        redelivered=message.redelivered,
    )


def fingerprint(queue: str, reason: str) -> str:
    """Return 16 hexadecimal digits that equal faults share, whichever payment or shard they concern."""
    normalised = _UUID.sub("<id>", reason)
    normalised = _HEXADECIMAL.sub("<id>", normalised)
    normalised = _NUMBER.sub("<n>", normalised)
    return _digest(whole_queue(queue).encode(), normalised.encode()).hex()[:16]


def whole_queue(queue: str) -> str:
    """Return the queue of which this one is a shard, or the queue itself."""
    return _SHARD.sub("", queue)


def redrive_headers(headers: Mapping[str, Any], redrive_id: UUID) -> dict[str, Any]:
    """Return the headers for a redriven message: the sender's own, and the redrive's id.

    Counters and deaths are left out, so the message starts with all its attempts.
    """
    kept = {name: value for name, value in headers.items() if not _is_of_the_broker(name)}
    return {**kept, REDRIVE_HEADER: str(redrive_id)}


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
