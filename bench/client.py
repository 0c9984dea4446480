"""`python -m bench.client URL WEBHOOK_URL PAYMENTS CONNECTIONS`: post payments as fast as possible.

This is a separate process, so its work is not counted as the stack's. It uses no HTTP library, which would take the
processor from the stack for three times as long. It prints one JSON object: start and end in seconds since 1970, and
the number of retries.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

API_KEY = "secret-api-key"
_HEAD = (
    "POST /api/v1/payments HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {api_key}\r\nIdempotency-Key: {key}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
_LENGTH = re.compile(r"content-length: *(\d+)")
_RETRY_AFTER = re.compile(r"retry-after: *(\d+)")

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def post_all(url: str, webhook_url: str, payments: int, connections: int) -> dict[str, float]:
    """Post the payments over the connections. Each connection waits for its answer before the next request."""
    body = json.dumps(order(webhook_url)).encode()
    keys = iter([str(uuid.uuid4()) for _ in range(payments)])
    statuses: Counter[int] = Counter()
    address = urlsplit(url)
    streams = [await asyncio.open_connection(address.hostname, address.port) for _ in range(connections)]
    started_at = time.time()
    await asyncio.gather(*(_post_next(stream, address.netloc, body, keys, statuses) for stream in streams))
    ended_at = time.time()
    for _, writer in streams:
        writer.close()
    return {"started_at": started_at, "ended_at": ended_at, "retried": statuses.total() - statuses[202]}


def order(webhook_url: str) -> dict[str, object]:
    """Return the body of the payment that the bench sends."""
    return {
        "amount": "100.50",
        "currency": "RUB",
        "description": "Order #123",
        "metadata": {"order_id": "123"},
        "webhook_url": webhook_url,
    }


async def _post_next(stream: Stream, host: str, body: bytes, keys: Iterator[str], statuses: Counter[int]) -> None:
    for key in keys:
        request = _HEAD.format(host=host, api_key=API_KEY, key=key, length=len(body)).encode() + body
        while True:
            pause_seconds = await _post(stream, request, statuses)
            if pause_seconds is None:
                break
            await asyncio.sleep(pause_seconds)


async def _post(stream: Stream, request: bytes, statuses: Counter[int]) -> float | None:
    """Send a request. Return the seconds to wait before a retry, or None if it was accepted."""
    reader, writer = stream
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(maxsplit=2)[1])
    length = _LENGTH.search(head)
    assert length is not None, head
    text = await reader.readexactly(int(length[1]))
    statuses[status] += 1
    if status == 202:
        return None
    if status not in {409, 429, 503}:
        raise RuntimeError(f"the API answered {status}: {text.decode(errors='replace')}")
    retry_after = _RETRY_AFTER.search(head)
    return float(retry_after[1]) if retry_after else 1.0


if __name__ == "__main__":
    url, webhook_url, payments, connections = sys.argv[1:]
    print(json.dumps(asyncio.run(post_all(url, webhook_url, int(payments), int(connections)))))
