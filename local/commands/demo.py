"""Send one sample payment through a running stack and show its timeline."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx

from local.commands.timeline import Stage, is_complete, render, stages_of
from local.errors import LocalError
from local.settings import LocalSettings
from local.stack.seed import DEMO_API_KEY

# In an emulator each function starts with its first event, which takes some seconds.
COMPLETE_SECONDS_MAX = 60
POLL_SECONDS = 0.1


def run(settings: LocalSettings, *, api_url: str | None = None, api_host: str | None = None) -> None:
    """Send the payment, wait for its verified webhook and print the timeline.

    `api_url` replaces the usual address of the API. `api_host` is the Host header that an endpoint routes by.
    Raises LocalError when the stack does not answer or the webhook does not come within 60 s.
    """
    host = {"Host": api_host} if api_host else {}
    with (
        httpx.Client(timeout=35, trust_env=False) as onlooker,
        httpx.Client(
            base_url=api_url or settings.api_url,
            timeout=35,
            trust_env=False,
            headers={"X-API-Key": DEMO_API_KEY, **host},
        ) as merchant,
    ):
        payment_id = _send(merchant, settings)
        print(f"\nSample payment {payment_id}: 100.50 RUB", flush=True)
        stages = _wait(merchant, onlooker, settings, payment_id)
    print(render(stages), flush=True)
    if not is_complete(stages):
        missing = next(stage.name for stage in stages if stage.at is None)
        raise LocalError(
            f"The sample payment was not {missing} within {COMPLETE_SECONDS_MAX} s: "
            f"see the logs in {settings.logs_dir} (`make logs`)."
        )


def _send(merchant: httpx.Client, settings: LocalSettings) -> str:
    body = {
        "amount": "100.50",
        "currency": "RUB",
        "description": "Order #123",
        "metadata": {"order_id": "123"},
        "webhook_url": settings.as_running().seen_by_functions(f"{settings.sink_url}/ok"),
        # Without it one payment in ten is declined, and each takes 2 to 5 s.
        "payment_method": "tok_success",
    }
    try:
        answer = merchant.post("/api/v1/payments", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    except httpx.TransportError:
        url = str(merchant.base_url).rstrip("/")
        raise LocalError(f"Nothing answers at {url}: start the stack with `make up`.") from None
    if answer.status_code != httpx.codes.ACCEPTED:
        raise LocalError(f"The API refused the sample payment ({answer.status_code}): {answer.text.strip()}")
    return str(answer.json()["payment_id"])


def _wait(merchant: httpx.Client, onlooker: httpx.Client, settings: LocalSettings, payment_id: str) -> list[Stage]:
    """Return the payment's steps as soon as all have happened, or as they are when the time is up."""
    deadline = time.monotonic() + COMPLETE_SECONDS_MAX
    while True:
        events = _entries(merchant, f"/api/v1/payments/{payment_id}/events", "data")
        received = _entries(onlooker, f"{settings.sink_url}/received?payment_id={payment_id}", "received")
        stages = stages_of(events, received)
        if is_complete(stages) or time.monotonic() > deadline:
            return stages
        time.sleep(POLL_SECONDS)


def _entries(client: httpx.Client, url: str, name: str) -> list[dict[str, Any]]:
    """Return the list that a URL answers with, bare or under `name`."""
    try:
        answer = client.get(url)
    except httpx.TransportError as error:
        raise LocalError(f"{url} no longer answers: {error}.") from None
    if answer.is_error:
        raise LocalError(f"{url} answers {answer.status_code}: {answer.text.strip()}")
    content = answer.json()
    return list(content if isinstance(content, list) else content[name])
