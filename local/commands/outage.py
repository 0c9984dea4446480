"""`make outage PART=rabbitmq SECONDS=30`: stop a part of the running stack, and show what payments do meanwhile."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import httpx

from local.commands import supervision
from local.commands.status import GIVEN
from local.errors import LocalError
from local.servers import compose
from local.servers.processes import running
from local.settings import LocalSettings, variable_of
from local.stack import restarts
from local.stack.restarts import PartState
from local.stack.seed import DEMO_API_KEY

SECONDS_DEFAULT, SECONDS_MAX = 30, 3_600
PAYMENT_EVERY_SECONDS = 1.0
ANSWER_SECONDS_MAX = 35
# RabbitMQ takes some seconds to stop and longest to start.
CHANGE_SECONDS_MAX = 120
# The relay of a minute in which the broker was away has ended. The next one begins within a minute.
SETTLE_SECONDS_MAX = 150
POLL_SECONDS = 0.2
FINAL = {"succeeded", "failed"}
# Nothing replaces what they hold.
NEVER = {"ministack", "sam", "functions"}


@dataclass(slots=True)
class Sent:
    """One payment of the demonstration: its idempotency key, and its id once it is accepted."""

    key: str
    payment_id: str = ""


def run(settings: LocalSettings, part: str, seconds_text: str) -> None:
    """Stop the part, send a payment each second, start the part again, and say what became of the payments.

    Raises LocalError when nothing runs, and for a part that does not exist or cannot be stopped.
    """
    if not running(settings.state_dir):
        raise LocalError(f"{supervision.nothing_runs(settings)} Start the stack with `make up`.")
    if supervision.supervisor(settings) is None:
        raise LocalError("The process that watches the stack is gone: `make down` first, then `make up`.")
    stack = settings.as_running()
    seconds = _seconds(seconds_text)
    _require_part(stack, part)
    with httpx.Client(
        base_url=stack.api_url, timeout=ANSWER_SECONDS_MAX, trust_env=False, headers={"X-API-Key": DEMO_API_KEY}
    ) as merchant:
        with _away(stack, part, seconds) as ends_at:
            _say(f"{part} is stopped for {seconds} s. Meanwhile a payment is sent each second.")
            sent = list(_send_until(stack, merchant, ends_at))
        _say(f"{part} is up again.")
        _send_again(stack, merchant, sent)
        _settle(stack, merchant, sent)


def _seconds(text: str) -> int:
    if text and not (text.isdigit() and 1 <= int(text) <= SECONDS_MAX):
        raise LocalError(f"SECONDS is {text!r}: choose from 1 to {SECONDS_MAX}.")
    return int(text or SECONDS_DEFAULT)


def _require_part(settings: LocalSettings, part: str) -> None:
    containers = set(compose.SERVICES) if settings.compose else set()
    given = {name: setting for name, setting in GIVEN.items() if getattr(settings, setting)}
    if part in given and part not in containers:
        raise LocalError(f"{variable_of(given[part])} names a server of your own: stop it yourself.")
    parts = sorted((set(running(settings.state_dir)) | containers) - NEVER)
    if part not in parts:
        problem = f"There is no part {part!r} to stop" if part else "Name the part to stop, as in PART=rabbitmq"
        raise LocalError(f"{problem}: choose {', '.join(parts[:-1])} or {parts[-1]}.")


@contextmanager
def _away(settings: LocalSettings, part: str, seconds: int) -> Iterator[float]:
    """Have the part stopped within the block, and give the monotonic time at which the outage ends."""
    if settings.compose and part in compose.SERVICES:
        compose.stop_server(settings, part)
        try:
            yield time.monotonic() + seconds
        finally:
            compose.start_server(settings, part)
        return
    # The end is ours to choose. The times are for a command that is killed.
    restarts.begin_outage(settings.state_dir, part, CHANGE_SECONDS_MAX + seconds)
    try:
        _wait(lambda: part not in running(settings.state_dir), f"{part} did not stop")
        # The part may have taken long to stop, and its outage begins now. `make status` shows what is left of it.
        restarts.begin_outage(settings.state_dir, part, seconds + POLL_SECONDS)
        yield time.monotonic() + seconds
    finally:
        restarts.end_outage(settings.state_dir, part)
    _wait(lambda: _is_up(settings, part), f"{part} did not come back: see `make status`")


def _is_up(settings: LocalSettings, part: str) -> bool:
    record = restarts.read_records(settings.state_dir).get(part)
    return record is not None and record.state == PartState.UP and part in running(settings.state_dir)


def _wait(is_done: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + CHANGE_SECONDS_MAX
    while not is_done():
        if time.monotonic() > deadline:
            raise LocalError(f"{failure} within {CHANGE_SECONDS_MAX} s.")
        time.sleep(POLL_SECONDS)


def _send_until(settings: LocalSettings, merchant: httpx.Client, ends_at: float) -> Iterator[Sent]:
    while (begun := time.monotonic()) < ends_at:
        sent = Sent(str(uuid.uuid4()))
        answer = _send(settings, merchant, sent)
        _say(f"payment {sent.payment_id or 'not accepted':<36}  {answer}  {(time.monotonic() - begun) * 1000:,.0f} ms")
        yield sent
        time.sleep(max(0.0, min(begun + PAYMENT_EVERY_SECONDS, ends_at) - time.monotonic()))


def _send(settings: LocalSettings, merchant: httpx.Client, sent: Sent) -> str:
    """Send the payment, again under the same key if it was sent before, and return the answer in a word."""
    body = {
        "amount": "1.00",
        "currency": "EUR",
        "description": "Outage",
        "payment_method": "tok_success",
        "webhook_url": settings.seen_by_functions(f"{settings.sink_url}/ok"),
    }
    try:
        answer = merchant.post("/api/v1/payments", json=body, headers={"Idempotency-Key": sent.key})
    except httpx.TransportError:
        return "no answer"
    if answer.status_code == httpx.codes.ACCEPTED:
        sent.payment_id = answer.json()["payment_id"]
    retry = f" (Retry-After {answer.headers['retry-after']})" if "retry-after" in answer.headers else ""
    return f"{answer.status_code}{retry}"


def _send_again(settings: LocalSettings, merchant: httpx.Client, sent: list[Sent]) -> None:
    """Send what was not accepted again, under the same keys, as a merchant does."""
    refused = [one for one in sent if not one.payment_id]
    deadline = time.monotonic() + CHANGE_SECONDS_MAX
    for one in refused:
        while not one.payment_id and time.monotonic() < deadline:
            if _send(settings, merchant, one) != str(httpx.codes.ACCEPTED.value):
                time.sleep(PAYMENT_EVERY_SECONDS)
    if refused:
        accepted = sum(bool(one.payment_id) for one in refused)
        _say(f"{len(refused)} payments were not accepted. Sent again with the same keys: {accepted} accepted.")


def _settle(settings: LocalSettings, merchant: httpx.Client, sent: list[Sent]) -> None:
    """Wait for the outcome of every accepted payment, and count the charges at the gateway."""
    began = time.monotonic()
    waiting = [one.payment_id for one in sent if one.payment_id]
    statuses: Counter[str] = Counter()
    charges = 0
    for payment_id in waiting:
        status = _status(merchant, payment_id)
        while status not in FINAL and time.monotonic() < began + SETTLE_SECONDS_MAX:
            time.sleep(POLL_SECONDS)
            status = _status(merchant, payment_id)
        statuses[status] += 1
        charges += _charges(settings, payment_id)
    outcomes = ", ".join(f"{count} {status}" for status, count in statuses.most_common()) or "none was accepted"
    _say(f"{len(waiting)} payments, {time.monotonic() - began:.0f} s later: {outcomes}.")
    _say(f"The gateway charged {charges} times.")


def _status(merchant: httpx.Client, payment_id: str) -> str:
    try:
        answer = merchant.get(f"/api/v1/payments/{payment_id}")
    except httpx.TransportError:
        return "unknown"
    return str(answer.json()["status"]) if answer.is_success else "unknown"


def _charges(settings: LocalSettings, payment_id: str) -> int:
    """Count the successful charges of a payment in the gateway's own record."""
    try:
        answer = httpx.get(
            f"{settings.gateway_url}/charges", params={"reference": payment_id}, trust_env=False, timeout=30
        )
    except httpx.TransportError:
        return 0
    return sum(charge["status"] == "succeeded" for charge in answer.json()) if answer.is_success else 0


def _say(text: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S}  {text}", flush=True)
