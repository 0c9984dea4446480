"""Sends one sample payment through a running stack and shows its way."""

import time
import uuid
from typing import Any

import httpx

from local.errors import LocalError
from local.seed import DEMO_API_KEY
from local.settings import LocalSettings
from local.timeline import Stage, is_complete, render, stages_of

COMPLETE_SECONDS_MAX = 30
POLL_SECONDS = 0.1


def run(settings: LocalSettings) -> None:
    """Send the payment, wait for its verified webhook and print the timeline.

    Raises LocalError when the stack does not answer or the webhook does not come within 30 s.
    """
    with httpx.Client(timeout=35, trust_env=False, headers={"X-API-Key": DEMO_API_KEY}) as client:
        payment_id = _send(client, settings)
        print(f"\nSample payment {payment_id}: 100.50 RUB", flush=True)
        stages = _wait(client, settings, payment_id)
    print(render(stages), flush=True)
    if not is_complete(stages):
        missing = next(stage.name for stage in stages if stage.at is None)
        raise LocalError(
            f"The sample payment was not {missing} within {COMPLETE_SECONDS_MAX} s: "
            f"see the logs in {settings.logs_dir} (`make logs`)."
        )


def _send(client: httpx.Client, settings: LocalSettings) -> str:
    body = {
        "amount": "100.50",
        "currency": "RUB",
        "description": "Order #123",
        "metadata": {"order_id": "123"},
        "webhook_url": f"{settings.sink_url}/ok",
        # Without it one payment in ten is declined, and each takes 2 to 5 s.
        "payment_method": "tok_success",
    }
    url = f"{settings.api_url}/api/v1/payments"
    try:
        answer = client.post(url, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    except httpx.TransportError:
        raise LocalError(f"Nothing answers at {settings.api_url}: start the stack with `make up`.") from None
    if answer.status_code != httpx.codes.ACCEPTED:
        raise LocalError(f"The API refused the sample payment ({answer.status_code}): {answer.text.strip()}")
    return str(answer.json()["payment_id"])


def _wait(client: httpx.Client, settings: LocalSettings, payment_id: str) -> list[Stage]:
    """The payment's steps as soon as all have happened, or those that have when the time is up."""
    deadline = time.monotonic() + COMPLETE_SECONDS_MAX
    while True:
        events = _entries(client, f"{settings.api_url}/api/v1/payments/{payment_id}/events", "data")
        received = _entries(client, f"{settings.sink_url}/received?payment_id={payment_id}", "received")
        stages = stages_of(events, received)
        if is_complete(stages) or time.monotonic() > deadline:
            return stages
        time.sleep(POLL_SECONDS)


def _entries(client: httpx.Client, url: str, name: str) -> list[dict[str, Any]]:
    """The list that a URL answers with, bare or under `name`."""
    try:
        answer = client.get(url)
    except httpx.TransportError as error:
        raise LocalError(f"{url} does not answer any more: {error}.") from None
    if answer.is_error:
        raise LocalError(f"{url} answers {answer.status_code}: {answer.text.strip()}")
    content = answer.json()
    return list(content if isinstance(content, list) else content[name])
