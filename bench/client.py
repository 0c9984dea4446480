"""`python -m bench.client URL WEBHOOK_URL PAYMENTS CONNECTIONS`: a merchant who posts payments as fast as he can.

A process of its own, so that its work is not counted as the stack's. It prints one JSON object: when it began and
ended in seconds since 1970, and how often it was told to come again.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator

import aiohttp

API_KEY = "secret-api-key"


async def post_all(url: str, webhook_url: str, payments: int, connections: int) -> dict[str, float]:
    """Posts so many payments over so many connections, each of which waits for its answer before it goes on."""
    body = json.dumps(order(webhook_url)).encode()
    keys = iter([str(uuid.uuid4()) for _ in range(payments)])
    statuses: Counter[int] = Counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), trust_env=False) as session:
        started_at = time.time()
        await asyncio.gather(*(_post_next(session, url, body, keys, statuses) for _ in range(connections)))
        ended_at = time.time()
    return {"started_at": started_at, "ended_at": ended_at, "retried": statuses.total() - statuses[202]}


def order(webhook_url: str) -> dict[str, object]:
    """The payment that the bench sends."""
    return {
        "amount": "100.50",
        "currency": "RUB",
        "description": "Order #123",
        "metadata": {"order_id": "123"},
        "webhook_url": webhook_url,
    }


async def _post_next(
    session: aiohttp.ClientSession, url: str, body: bytes, keys: Iterator[str], statuses: Counter[int]
) -> None:
    for key in keys:
        headers = {"X-API-Key": API_KEY, "Idempotency-Key": key, "Content-Type": "application/json"}
        while True:
            async with session.post(f"{url}/api/v1/payments", data=body, headers=headers) as answer:
                statuses[answer.status] += 1
                if answer.status == 202:
                    await answer.read()
                    break
                if answer.status not in {409, 429, 503}:
                    raise RuntimeError(f"the API answered {answer.status}: {await answer.text()}")
                pause_seconds = float(answer.headers.get("Retry-After", "1"))
            await asyncio.sleep(pause_seconds)


if __name__ == "__main__":
    url, webhook_url, payments, connections = sys.argv[1:]
    print(json.dumps(asyncio.run(post_all(url, webhook_url, int(payments), int(connections)))))
