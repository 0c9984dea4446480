"""Send a sample payment through a running stack, refund a part of it, and show the timeline of both."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from local.commands.bridged import render_bridged, watched_bus
from local.commands.notified import given_texts, is_chosen, is_told, render_notifications
from local.commands.timeline import Entry, Stage, is_complete, refund_stages_of, render, stages_of
from local.errors import LocalError
from local.servers.event_bus import Watched
from local.settings import LocalSettings
from local.stack.seed import DEMO_API_KEY, DEMO_MERCHANT_ID, OPERATOR_API_KEY

# In an emulator each function starts with its first event, which takes some seconds.
COMPLETE_SECONDS_MAX = 60
# They are sent beside the webhook, by functions that may start only now.
NOTIFIED_SECONDS_MAX = 60
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Visit:
    """The running stack, and its clients: one with the demo merchant's key, and one for the sink, which needs none."""

    settings: LocalSettings
    merchant: httpx.Client
    onlooker: httpx.Client


def run(settings: LocalSettings) -> None:
    """Send the payment, refund a part of it, and print the timeline of each up to its verified webhook.

    Raises LocalError when the stack does not answer or a webhook does not come within 60 s.
    """
    with _visit(settings) as visit, watched_bus(settings) as watched:
        payment_id = _show_payment(visit)
        _show_bridged(watched, payment_id)
        _show_refund(visit, payment_id)


def run_payment(settings: LocalSettings, *, api_url: str | None = None, api_host: str | None = None) -> None:
    """Send the payment and print its timeline, as `run` does before the refund.

    `api_url` replaces the usual address of the API. `api_host` is the Host header that an endpoint routes by.
    Raises LocalError when the stack does not answer or the webhook does not come within 60 s.
    """
    with _visit(settings, api_url, api_host) as visit:
        _show_payment(visit)


@contextmanager
def _visit(settings: LocalSettings, api_url: str | None = None, api_host: str | None = None) -> Iterator[Visit]:
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
        yield Visit(settings, merchant, onlooker)


def _show_payment(visit: Visit) -> str:
    """Show the way of a payment and return its id."""
    settings = visit.settings
    body = {
        "amount": "100.50",
        "currency": "RUB",
        "description": "Order #123",
        "metadata": {"order_id": "123"},
        "webhook_url": settings.as_running().seen_by_functions(f"{settings.sink_url}/ok"),
        # Without it one payment in ten is declined, and each takes 2 to 5 s.
        "payment_method": "tok_success",
    }
    payment_id = str(_post(visit.merchant, "/api/v1/payments", body, "payment")["payment_id"])
    print(f"\nSample payment {payment_id}: 100.50 RUB", flush=True)
    _show(visit, payment_id, "payment", stages_of)
    return payment_id


def _show_bridged(watched: Watched | None, payment_id: str) -> None:
    """Show the event as a rule of the EventBridge bus hands it over; nothing at an endpoint that has no rules."""
    deadline = time.monotonic() + NOTIFIED_SECONDS_MAX
    while watched and time.monotonic() < deadline:
        if shown := render_bridged(watched.take(), payment_id):
            print(shown, flush=True)
            return
        time.sleep(POLL_SECONDS)


def _show_refund(visit: Visit, payment_id: str) -> None:
    body = {"amount": "30.00", "reason": "Damaged in transit"}
    answer = _post(visit.merchant, f"/api/v1/payments/{payment_id}/refunds", body, "refund")
    refund_id = str(answer["refund_id"])
    print(f"\nRefund {refund_id}: 30.00 RUB of it", flush=True)
    _show(visit, payment_id, "refund", lambda events, received: refund_stages_of(events, received, refund_id))
    _show_notifications(visit, payment_id)


def _show_notifications(visit: Visit, payment_id: str) -> None:
    """Show the e-mail and the SMS about the refund. There is none if the demo merchant was changed."""
    if not is_chosen(_demo_merchant(visit)):
        return
    deadline = time.monotonic() + NOTIFIED_SECONDS_MAX
    while True:
        events = _entries(visit.merchant, f"/api/v1/payments/{payment_id}/events", "data")
        if is_told(events) or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    if shown := render_notifications(events, given_texts(visit.onlooker, visit.settings.aws_url)):
        print(f"\nThe demo merchant's contacts\n{shown}", flush=True)


def _demo_merchant(visit: Visit) -> Entry:
    headers = {"X-API-Key": OPERATOR_API_KEY}
    return dict(_get(visit.merchant, f"/api/v1/ops/merchants/{DEMO_MERCHANT_ID}", headers))


def _post(merchant: httpx.Client, path: str, body: dict[str, Any], what: str) -> dict[str, Any]:
    """Return the answer to a request that creates `what`."""
    try:
        answer = merchant.post(path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
    except httpx.TransportError:
        url = str(merchant.base_url).rstrip("/")
        raise LocalError(f"Nothing answers at {url}: start the stack with `make up`.") from None
    if answer.status_code != httpx.codes.ACCEPTED:
        raise LocalError(f"The API refused the sample {what} ({answer.status_code}): {answer.text.strip()}")
    return dict(answer.json())


def _show(
    visit: Visit, payment_id: str, what: str, stages_from: Callable[[list[Entry], list[Entry]], list[Stage]]
) -> None:
    """Print the steps that `stages_from` finds in what happened to the payment, once all of them are there."""
    stages = _wait(visit, payment_id, stages_from)
    print(render(stages), flush=True)
    if not is_complete(stages):
        missing = next(stage.name for stage in stages if stage.at is None)
        raise LocalError(
            f"The sample {what} was not {missing} within {COMPLETE_SECONDS_MAX} s: "
            f"see the logs in {visit.settings.logs_dir} (`make logs`)."
        )


def _wait(visit: Visit, payment_id: str, stages_from: Callable[[list[Entry], list[Entry]], list[Stage]]) -> list[Stage]:
    """Return the steps as soon as all have happened, or as they are when the time is up."""
    deadline = time.monotonic() + COMPLETE_SECONDS_MAX
    while True:
        events = _entries(visit.merchant, f"/api/v1/payments/{payment_id}/events", "data")
        received = _entries(visit.onlooker, f"{visit.settings.sink_url}/received?payment_id={payment_id}", "received")
        stages = stages_from(events, received)
        if is_complete(stages) or time.monotonic() > deadline:
            return stages
        time.sleep(POLL_SECONDS)


def _entries(client: httpx.Client, url: str, name: str) -> list[Entry]:
    """Return the list that a URL answers with, bare or under `name`."""
    content = _get(client, url)
    return list(content if isinstance(content, list) else content[name])


def _get(client: httpx.Client, url: str, headers: dict[str, str] | None = None) -> Any:
    try:
        answer = client.get(url, headers=headers)
    except httpx.TransportError as error:
        raise LocalError(f"{url} no longer answers: {error}.") from None
    if answer.is_error:
        raise LocalError(f"{url} answers {answer.status_code}: {answer.text.strip()}")
    return answer.json()
