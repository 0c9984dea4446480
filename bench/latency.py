"""From POST to the verified webhook on an idle stack, one payment at a time."""

from __future__ import annotations

import time
import uuid
from datetime import datetime

import httpx

from bench.client import API_KEY, order
from bench.results import Figure, Goal, Measure, number_text, percentile
from bench.servers import Servers
from local.stack import Stack

SAMPLES = 20
WARM_UP_SAMPLES = 2
POLL_SECONDS = 0.02
ARRIVE_SECONDS_MAX = 15.0
GOAL_SECONDS = 1.3


def measure(servers: Servers) -> Measure:
    """The half-second windows of the two queue mappings on the way are included, as on AWS."""
    stack = servers.stack
    with httpx.Client(timeout=10, trust_env=False) as client:
        client.delete(f"{stack.urls.sink}/received").raise_for_status()
        for _ in range(WARM_UP_SAMPLES):
            _sample(client, stack)
        seconds = tuple(_sample(client, stack) for _ in range(SAMPLES))
    servers.say(f"{SAMPLES} payments one after the other: {number_text(percentile(seconds, 50))} s each")
    return Measure(
        "latency",
        [
            Figure("POST to webhook, p50", "s", seconds, Goal(GOAL_SECONDS, at_most=True)),
            Figure("POST to webhook, p99", "s", (percentile(seconds, 99),)),
        ],
    )


def _sample(client: httpx.Client, stack: Stack) -> float:
    path = f"/ok/{uuid.uuid4()}"
    headers = {"X-API-Key": API_KEY, "Idempotency-Key": path}
    started_at = time.time()
    answer = client.post(
        f"{stack.urls.api}/api/v1/payments", json=order(stack.urls.sink + path), headers=headers
    ).raise_for_status()
    assert answer.status_code == 202, answer.text
    deadline = started_at + ARRIVE_SECONDS_MAX
    while not (received := client.get(f"{stack.urls.sink}/received", params={"path": path}).json()):
        if time.time() > deadline:
            raise RuntimeError(f"no webhook came within {ARRIVE_SECONDS_MAX:.0f} s")
        time.sleep(POLL_SECONDS)
    assert received[0]["verified"], "the webhook's signature is wrong"
    return datetime.fromisoformat(received[0]["received_at"]).timestamp() - started_at
