"""Using a running stack as merchants, their receivers and an onlooker do, without a look inside."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
import httpx

from local.stack.seed import DEMO_API_KEY, DEMO_WEBHOOK_SECRET, OPERATOR_API_KEY, OTHER_API_KEY
from local.stack.stack import Stack

T = TypeVar("T")

POLL_SECONDS = 0.05
FINAL = {"succeeded", "failed"}
# What a card number may look like: 13 to 19 digits on end, of an issuer's range, that pass Luhn's check.
CARD_LIKE = re.compile(r"(?<![0-9A-Za-z.-])[2-6][0-9]{12,18}(?![0-9A-Za-z.-])")

SECRETS = {
    "the merchant's key": DEMO_API_KEY,
    "another merchant's key": OTHER_API_KEY,
    "the operator's key": OPERATOR_API_KEY,
    "the webhook secret": DEMO_WEBHOOK_SECRET.removeprefix("whsec_"),
    "the database's login": "paybridge:paybridge",
    "the database's secret": '"password": "paybridge"',
    "the broker's login": "guest:guest",
}


def eventually(look: Callable[[], T | None], what: str, seconds_max: float = 60) -> T:
    """The first value of `look` that is true; AssertionError, naming `what`, when there is none in time."""
    deadline = time.monotonic() + seconds_max
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds_max:.0f} s, but {found!r}"
        time.sleep(POLL_SECONDS)


async def eventually_async(look: Callable[[], T | None], what: str, seconds_max: float = 60) -> T:
    """`eventually`, while the test's event loop goes on."""
    return await asyncio.to_thread(eventually, look, what, seconds_max)


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant at the API of a running stack."""

    api_url: str
    api_key: str
    client: httpx.Client

    def post(self, key: str, order: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        """Send an order as it is."""
        sent = {"X-API-Key": self.api_key, "Idempotency-Key": key, **(headers or {})}
        return self.client.post(f"{self.api_url}/api/v1/payments", json=order, headers=sent)

    def pay(self, **order: Any) -> str:
        """The id of a payment that was accepted: 100.50 RUB by a method that succeeds, unless `order` differs."""
        body = {"amount": "100.50", "currency": "RUB", "payment_method": "tok_success", **order}
        answer = self.post(str(uuid.uuid4()), {name: value for name, value in body.items() if value is not None})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["payment_id"])

    def get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        """The JSON at `/api/v1/payments/<path>`."""
        sent = {"X-API-Key": self.api_key, **(headers or {})}
        answer = self.client.get(f"{self.api_url}/api/v1/payments/{path}", headers=sent)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def settled(self, payment_id: str, seconds_max: float = 60) -> dict[str, Any]:
        """The payment once its status is final."""

        def look() -> dict[str, Any] | None:
            payment: dict[str, Any] = self.get(payment_id, {"Prefer": "wait=5"})
            return payment if payment["status"] in FINAL else None

        return eventually(look, f"payment {payment_id} settled", seconds_max)

    def timeline(self, payment_id: str) -> list[dict[str, Any]]:
        """What happened to the payment, oldest first."""
        entries: list[dict[str, Any]] = self.get(f"{payment_id}/events")["data"]
        return entries


@contextmanager
def merchant(stack: Stack, api_key: str) -> Iterator[Merchant]:
    """The merchant of this key at a running stack."""
    with httpx.Client(timeout=40, trust_env=False, limits=httpx.Limits(max_connections=100)) as client:
        yield Merchant(stack.urls.api, api_key, client)


def charges(gateway_url: str, payment_id: str) -> list[dict[str, Any]]:
    """The charges of a payment that succeeded, in the gateway's own log: the oracle for "never charged twice"."""
    answer = httpx.get(f"{gateway_url}/charges", params={"reference": payment_id}, trust_env=False, timeout=20)
    records = answer.raise_for_status().json()
    return [record for record in records if (record["kind"], record["status"]) == ("charge", "succeeded")]


def received(sink_url: str, payment_id: str) -> list[dict[str, Any]]:
    """The webhooks about a payment that came to the sink, in their order."""
    answer = httpx.get(f"{sink_url}/received", params={"payment_id": payment_id}, trust_env=False, timeout=20)
    entries: list[dict[str, Any]] = answer.raise_for_status().json()
    return entries


def webhook(sink_url: str, payment_id: str, seconds_max: float = 60) -> dict[str, Any]:
    """The first webhook about a payment."""
    return eventually(lambda: received(sink_url, payment_id), f"webhook of {payment_id}", seconds_max)[0]


@asynccontextmanager
async def tapped(amqp_url: str) -> AsyncIterator[list[aio_pika.abc.AbstractIncomingMessage]]:
    """A list that fills with a copy of every message on its way to the consumer or as an outcome event."""
    messages: list[aio_pika.abc.AbstractIncomingMessage] = []

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        messages.append(message)

    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("payments", "payments.new")
        await queue.bind("payments.events", "#")
        await queue.consume(take, no_ack=True)
        yield messages


def leaks(logs_dir: Path) -> list[str]:
    """Which secrets, by name, and which card-like numbers stand in which log files."""
    found = []
    for log in sorted(logs_dir.glob("*.log")):
        text = log.read_text(encoding="utf-8", errors="replace")
        found += [f"{name} in {log.name}" for name, secret in SECRETS.items() if secret in text]
        found += [f"{number} in {log.name}" for number in CARD_LIKE.findall(text) if _passes_luhn(number)]
    return found


def _passes_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
