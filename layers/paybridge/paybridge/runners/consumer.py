"""Charges the payments of a batch from the queue `payments.new` or one of its shards."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.events import PAYMENT_CREATED, PROCESS_PAYMENT, Event
from paybridge.database.await_database import await_database
from paybridge.observability.logging import logger
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.process import process_payments
from paybridge.payments.processing import ChargeOrder, Processed, Processing

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch

HANDLED_TYPES = frozenset({PAYMENT_CREATED, PROCESS_PAYMENT})
# A call may take the gateway's deadline and the look-ups before and after it; then its process is dead.
LEASE_MARGIN_SECONDS = 6.0

# Messages that are worked together at most; the mapping of the template says the same.
BATCH_MESSAGES = 1_000

# Keeps a line below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Works on the batch, and waits so long for a database that is away.

    Raises DatabaseUnavailable, LockTimeout or BrokerUnavailable: then the whole of it is to be delivered again.
    """
    await asyncio.to_thread(await_database, wiring.database(), database_patience_seconds)
    processed = await process_payments(_processing(), [_order_of(one.event) for one in batch.events])
    _log_processed(len(batch.events), processed)
    if batch.poison:
        log.error("poison messages", extra={"reasons": [one.reason for one in batch.poison][:LOGGED_MAX]})
        await wiring.bury(batch.poison)
    return {"messages": len(batch.events), "processed": len(processed), "poison": len(batch.poison)}


def prepare() -> None:
    """Reads every setting that a batch needs, and connects to nothing; raises SettingsInvalid."""
    _processing()


async def close() -> None:
    """Closes the connections to the gateway, when nothing more is to be handled."""
    await wiring.gateway().close()


def _log_processed(messages: int, processed: list[Processed]) -> None:
    # One line for many payments: a line each would cost more than charging them.
    for start in range(0, max(len(processed), 1), LOGGED_MAX):
        payments = [
            {"payment_id": str(one.payment_id), "correlation_id": one.correlation_id, "outcome": one.outcome}
            for one in processed[start : start + LOGGED_MAX]
        ]
        log.info("processed payments", extra={"messages": messages, "payments": payments})
    for one in processed:
        if one.error is not None:
            log.error("a payment needs a person", extra={**asdict(one), "payment_id": str(one.payment_id)})


def _processing() -> Processing:
    configuration = wiring.gateway_configuration()
    return Processing(
        database=wiring.database(),
        gateway=wiring.gateway(),
        clock=wiring.clock(),
        ids=wiring.ids(),
        retry_delays_seconds=configuration.retry_delays_seconds,
        lease_seconds=configuration.timeout_seconds + LEASE_MARGIN_SECONDS,
        circuit_policy=CircuitPolicy(configuration.circuit_failure_threshold, configuration.circuit_cooldown_seconds),
    )


def _order_of(event: Event) -> ChargeOrder:
    number = event.data.get("attempt", 1) if event.type == PROCESS_PAYMENT else 1
    return ChargeOrder(event.payment_id, number if isinstance(number, int) else 1)
