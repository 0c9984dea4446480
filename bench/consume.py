"""Send payments through the consumer function, batch by batch, with a gateway that answers at once."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from bench.logs import nowhere
from bench.results import Figure, Goal, Measure, interleaved, ratio
from bench.rivals.consumption import celery_worker, naive_consumer
from bench.servers import Servers, open_database
from consumer import handler as consumer
from local.testkit.local_servers import running_gateway
from local.testkit.payments import new_merchant, new_payment
from local.testkit.rmq import outbox_bodies, rmq_event
from paybridge import wiring
from paybridge.database.database import Database, Statement
from paybridge.observability.logging import logger as make_logger
from paybridge.payments.domain.gateway_answers import Succeeded
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.ports import GatewayRequest
from paybridge.runners import batch as batch_runner
from paybridge.runners import consumer as runner
from paybridge.wiring import payments
from paybridge.wiring.settings import Settings

BATCH_MESSAGES = 1_000
BATCHES = 3
GOAL_PAYMENTS_PER_SECOND = 4_000.0
GOAL_TIMES_FASTER = 8.0
OURS, CALLS = "consumer", "gateway calls alone"
NAIVE, CELERY = "one message at a time", "Celery"

_SUCCEEDED = Statement("SELECT count(*) FROM payments WHERE status = 'succeeded'")


def measure(servers: Servers) -> Measure:
    """Measure the function as Lambda calls it, the rivals' workers, and the gateway calls alone as the upper limit."""
    urls = [servers.postgres.fresh_database(migrated=ours) for ours in (True, False, False)]
    with running_gateway(servers.folder / "charges.jsonl") as gateway_url, ExitStack() as stack:
        database = stack.enter_context(open_database(urls[0]))
        stack.enter_context(wired(database, gateway_url))
        merchant_id = new_merchant(database)
        _consume(database, merchant_id)
        contenders = {
            OURS: lambda: _consume(database, merchant_id),
            CALLS: lambda: asyncio.run(_call_gateway(gateway_url)),
        }
        for name, worker, url in ((NAIVE, naive_consumer, urls[1]), (CELERY, celery_worker, urls[2])):
            amqp_url = servers.broker.fresh_vhost().amqp_url
            contenders[name] = stack.enter_context(worker(servers.folder / worker.__name__, url, amqp_url, gateway_url))
        values = interleaved(servers.say, contenders, "payments/s")
    for url in urls:
        servers.postgres.drop_database(url)
    return Measure("consume", _figures(values))


def _figures(values: dict[str, tuple[float, ...]]) -> list[Figure]:
    faster = tuple(max(rates) for rates in zip(values[NAIVE], values[CELERY], strict=True))
    return [
        Figure(OURS, "payments/s", values[OURS], Goal(GOAL_PAYMENTS_PER_SECOND)),
        *(Figure(name, "payments/s", values[name], is_rival=True) for name in (NAIVE, CELERY)),
        ratio("ratio to the faster rival", values[OURS], faster, Goal(GOAL_TIMES_FASTER)),
        Figure(CALLS, "calls/s", values[CALLS], is_rival=True),
    ]


@contextmanager
def wired(database: Database, gateway_url: str) -> Iterator[None]:
    """Wire the function to the bench's servers. Format its log lines, but write them to the null device."""
    gateway = HttpGateway(gateway_url, 6)
    settings = Settings({"GATEWAY_URL": gateway_url, "ENVIRONMENT_NAME": "bench"})
    quiet = make_logger("consumer", nowhere())
    with (
        patch.object(wiring, "database", lambda: database),
        patch.object(payments, "gateway", lambda: gateway),
        patch.object(wiring, "environment", lambda: settings),
        patch.object(runner, "log", quiet),
        patch.object(batch_runner, "log", quiet),
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
        answers = await asyncio.gather(*(gateway.send(_request()) for _ in range(BATCH_MESSAGES)))
        assert all(isinstance(answer, Succeeded) for answer in answers)
    seconds = time.perf_counter() - started
    await gateway.close()
    return BATCHES * BATCH_MESSAGES / seconds


def _request() -> GatewayRequest:
    payment_id = uuid.uuid4()
    return GatewayRequest(
        operation_id=payment_id,
        kind=Kind.CHARGE,
        payment_id=payment_id,
        amount_minor=10050,
        currency="RUB",
        currency_places=2,
        payment_method="tok_success",
        idempotency_key=str(uuid.uuid4()),
    )
