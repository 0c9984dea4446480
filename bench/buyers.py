"""Merchants' clients that all post at once. Each retries its payment until it is accepted, and obeys Retry-After.

Bare asyncio, because an HTTP library would take the processor from the stack under load. A retry keeps its idempotency
key, so a lost answer does not lead to a second payment.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from local.servers.open_files import raise_limit
from local.stack.seed import DEMO_API_KEY

_HEAD = (
    "POST /api/v1/payments HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {api_key}\r\nIdempotency-Key: {key}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
_LENGTH = re.compile(r"^content-length: *(\d+)", re.MULTILINE)
_RETRY_AFTER = re.compile(r"^retry-after: *(\d+)", re.MULTILINE)
# Retryable answers: the same key is in flight, too many requests, or not available.
_RETRYABLE = frozenset({409, 429, 503})
# Wait this long if no answer says how long: the connection was refused or broke.
_RECONNECT_SECONDS = 1.0
_ANSWER_SECONDS_MAX = 60.0
# A buyer who is refused for this long is not being served at all.
_SALE_SECONDS_MAX = 300.0
# Open files that this process needs besides its connections.
_SPARE_FILES = 200

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class UnexpectedAnswer(Exception):
    """The API gave an answer it never should, or refused callers for minutes."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted payment: seconds since the sale began, and since its last request was sent."""

    payment_id: str
    since_start_seconds: float
    last_request_seconds: float


@dataclass(slots=True)
class Tally:
    """The answers to all buyers by status, refusals without Retry-After, and broken connections."""

    statuses: Counter[int] = field(default_factory=Counter)
    silent_refusals: int = 0
    broken_connections: int = 0
    accepted: list[Accepted] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response."""

    status: int
    body: bytes
    retry_after_seconds: float | None


async def buy_all(url: str, keys: Iterable[str], body: dict[str, object], tally: Tally) -> None:
    """Post one payment for each key, all at once, each on its own connection. Return when all are accepted.

    Raises UnexpectedAnswer.
    """
    address = urlsplit(url)
    text = json.dumps(body).encode()
    started = time.perf_counter()
    try:
        async with asyncio.timeout(_SALE_SECONDS_MAX), asyncio.TaskGroup() as buyers:
            for key in keys:
                head = _HEAD.format(host=address.netloc, api_key=DEMO_API_KEY, key=key, length=len(text)).encode()
                buyers.create_task(_buy(address.hostname or "", address.port or 80, head + text, started, tally))
    except TimeoutError:
        raise UnexpectedAnswer(f"Payments were not accepted within {_SALE_SECONDS_MAX:.0f} s.") from None


def connections_max() -> int:
    """Raise the limit of open files and return how many connections it allows."""
    return raise_limit() - _SPARE_FILES


async def _buy(host: str, port: int, request: bytes, started: float, tally: Tally) -> None:
    stream: Stream | None = None
    try:
        while True:
            sent = time.perf_counter()
            try:
                async with asyncio.timeout(_ANSWER_SECONDS_MAX):
                    stream = stream or await asyncio.open_connection(host, port)
                    answer = await _ask(stream, request)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                tally.broken_connections += 1
                _close(stream)
                stream = None
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            tally.statuses[answer.status] += 1
            if answer.status == 202:
                now = time.perf_counter()
                payment_id = str(json.loads(answer.body)["payment_id"])
                tally.accepted.append(Accepted(payment_id, now - started, now - sent))
                return
            await asyncio.sleep(_pause_seconds(answer, tally))
    finally:
        _close(stream)


async def _ask(stream: Stream, request: bytes) -> Answer:
    reader, writer = stream
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length, retry_after = _LENGTH.search(head), _RETRY_AFTER.search(head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    return Answer(int(head.split(maxsplit=2)[1]), body, float(retry_after[1]) if retry_after else None)


def _pause_seconds(answer: Answer, tally: Tally) -> float:
    if answer.status not in _RETRYABLE:
        raise UnexpectedAnswer(f"The API answered {answer.status}: {answer.body.decode(errors='replace')[:300]}")
    if answer.retry_after_seconds is None:
        tally.silent_refusals += 1
        return _RECONNECT_SECONDS
    return answer.retry_after_seconds


def _close(stream: Stream | None) -> None:
    if stream is not None:
        stream[1].transport.abort()
