"""Payments through the consumer function, batch by batch, with a gateway that answers at once."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from os import devnull
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.results import Figure, Goal, Measure, interleaved
from bench.servers import Servers, open_database
from consumer import handler as consumer
from paybridge import wiring
from paybridge.adapters.gateways.http import HttpGateway
from paybridge.observability.logging import logger as make_logger
from paybridge.ports import Charged, ChargeRequest
from paybridge.settings import Environment, gateway_settings
from paybridge.store.database import Database, Statement
from tests.support.local_servers import running_gateway
from tests.support.payments import new_merchant, new_payment
from tests.support.rmq import outbox_bodies, rmq_event

BATCH_MESSAGES = 1_000
BATCHES = 3
GOAL_PAYMENTS_PER_SECOND = 2_000.0

_SUCCEEDED = Statement("SELECT count(*) FROM payments WHERE status = 'succeeded'")


def measure(servers: Servers) -> Measure:
    """The function as Lambda calls it; beside it the bare HTTP calls, which are the most that this gateway allows."""
    url = servers.postgres.fresh_database()
    with (
        running_gateway(servers.folder / "charges.jsonl") as gateway_url,
        open_database(url) as database,
        wired(database, gateway_url),
    ):
        merchant_id = new_merchant(database)
        _consume(database, merchant_id)
        contenders = {
            "consumer": lambda: _consume(database, merchant_id),
            "gateway calls alone": lambda: asyncio.run(_call_gateway(gateway_url)),
        }
        values = interleaved(servers.say, contenders, "payments/s")
    servers.postgres.drop_database(url)
    figures = [Figure("consumer", "payments/s", values["consumer"], Goal(GOAL_PAYMENTS_PER_SECOND))]
    figures.append(Figure("gateway calls alone", "calls/s", values["gateway calls alone"], is_rival=True))
    return Measure("consume", figures)


@contextmanager
def wired(database: Database, gateway_url: str) -> Iterator[None]:
    """The function's wiring leads to the bench's servers; its log is written, to nowhere."""
    gateway = HttpGateway(gateway_url, 6)
    configuration = gateway_settings(Environment({"GATEWAY_URL": gateway_url}))
    with (
        Path(devnull).open("w") as nowhere,
        patch.object(wiring, "database", lambda: database),
        patch.object(wiring, "gateway", lambda: gateway),
        patch.object(wiring, "gateway_configuration", lambda: configuration),
        patch.object(consumer, "log", make_logger("consumer", nowhere)),
    ):
        yield
        wiring.run(gateway.close())


def _consume(database: Database, merchant_id: uuid.UUID) -> float:
    before = _succeeded(database)
    batches = [_batch(database, merchant_id) for _ in range(BATCHES)]
    started = time.perf_counter()
    for batch in batches:
        consumer.handler(batch, None)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    charged = _succeeded(database) - before
    assert charged == BATCHES * BATCH_MESSAGES, f"{charged} payments were charged"
    return charged / seconds


def _batch(database: Database, merchant_id: uuid.UUID) -> dict[str, Any]:
    payments = [new_payment(database, merchant_id) for _ in range(BATCH_MESSAGES)]
    return rmq_event("payments.new", outbox_bodies(database, payments, "payment.created"))


def _succeeded(database: Database) -> int:
    return int(database.run(_SUCCEEDED)[0][0])


async def _call_gateway(gateway_url: str) -> float:
    gateway = HttpGateway(gateway_url, 6)
    started = time.perf_counter()
    for _ in range(BATCHES):
        answers = await asyncio.gather(*(gateway.charge(_request()) for _ in range(BATCH_MESSAGES)))
        assert all(isinstance(answer, Charged) for answer in answers)
    seconds = time.perf_counter() - started
    await gateway.close()
    return BATCHES * BATCH_MESSAGES / seconds


def _request() -> ChargeRequest:
    return ChargeRequest(
        payment_id=uuid.uuid4(),
        amount_minor=10050,
        currency="RUB",
        payment_method="tok_success",
        idempotency_key=str(uuid.uuid4()),
    )
