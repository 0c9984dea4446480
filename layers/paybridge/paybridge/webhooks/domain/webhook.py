"""Webhooks as Standard Webhooks describes them: signed headers, bodies, targets, and what follows an attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from paybridge.core.retry import RETRY_AFTER_SECONDS_MAX, GiveUp, RetryIn, after_failure, parse_retry_after
from paybridge.core.standard_webhooks import signature

PORTS_ALLOWED = (443, 8443)
# The only error of an attempt that no later attempt can cure.
URL_NOT_ALLOWED = "url_not_allowed"
# The answer by which a receiver ends its webhooks.
GONE_STATUS = 410
# The error of an attempt that failed by our own fault.
INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one HTTP request to a receiver.

    Either `status_code` is set, or `error`: `timeout`, `connect_failed`, `tls_failed`, `address_not_allowed`,
    `url_not_allowed`, `invalid_secret`, `protocol_error` or `internal_error`. `excerpt` is the beginning of the answer,
    at most 256 characters with control characters escaped; `retry_after` is that header as received.
    """

    status_code: int | None
    error: str | None
    latency_ms: int
    excerpt: str = ""
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver answered 2xx."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver answered 410: it wants no more events of this payment."""


Decision = Delivered | RetryIn | GiveUp | Gone


def signed_headers(keys: Sequence[bytes], message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks for an attempt made `now` (an aware time)."""
    timestamp_seconds = int(now.timestamp())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_seconds),
        "webhook-signature": signature(keys, message_id, timestamp_seconds, body),
    }


def build_body(event_type: str, time: str, data: Mapping[str, Any], sequence: int) -> bytes:
    """Return the JSON sent to the receiver: the same event gives the same bytes on every attempt.

    `time` is the event's RFC 3339 time. `sequence` numbers the payment's events, so that a receiver can order them.
    """
    content = {"type": event_type, "timestamp": time, "data": {**data, "sequence": sequence}}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def delivery_id(event_id: UUID, endpoint: str) -> UUID:
    """Return the id of the delivery of an event to an endpoint: the same pair always gives the same id.

    It is a UUIDv7 with the event's time, so that deliveries fall into the month of their event.
    """
    digest = int.from_bytes(hashlib.sha256(event_id.bytes + endpoint.encode()).digest()[:10])
    time_bits = event_id.int >> 80
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    return UUID(int=time_bits << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)


def decide(
    result: SendResult,
    attempt: int,
    retry_delays_seconds: Sequence[float],
    now: datetime,
    *,
    has_left_url: bool = False,
) -> Decision:
    """Decide what follows attempt number `attempt`, counted from 1 without interrupted ones.

    `retry_delays_seconds` are the waits between attempts: with n delays there are n + 1 attempts. A Retry-After may
    only lengthen a delay, and not beyond a day. `has_left_url`: the endpoint has another URL by now, which a 410 of the
    old one says nothing about.
    """
    if result.status_code is not None and 200 <= result.status_code <= 299:
        return Delivered()
    if result.status_code == GONE_STATUS and not has_left_url:
        return Gone()
    scheduled = GiveUp() if result.error == URL_NOT_ALLOWED else after_failure(attempt, retry_delays_seconds)
    if isinstance(scheduled, GiveUp):
        return scheduled
    asked_seconds = parse_retry_after(result.retry_after, now) or 0
    return RetryIn(min(max(scheduled.seconds, asked_seconds), RETRY_AFTER_SECONDS_MAX))


def is_target_allowed(scheme: str, port: int) -> bool:
    """Return whether webhooks go to this scheme and port of a public address: https on its customary ports."""
    return scheme == "https" and port in PORTS_ALLOWED


def origin_of(url: str) -> str:
    """Return `scheme://host:port` of a URL in lower case, or `invalid`: what is fast or slow as a whole."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "invalid"
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}:{port}"
