"""Charge the payments of a batch from the queue `payments.new` or one of its shards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

from paybridge import wiring
from paybridge.core.errors import MalformedMessage, PaybridgeError
from paybridge.core.events import FIND_LATE_CHANGE, PAYMENT_CREATED, PROCESS_PAYMENT, Event
from paybridge.database import counters
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit, emit_counts
from paybridge.payments.domain.operation import FIRST_KINDS
from paybridge.payments.find_late_changes import find_late_changes
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.records import OperationOrder, PaymentOutcome, PaymentResult
from paybridge.payments.run_operations import run_operations
from paybridge.runners.batch import for_each_event, log_results, run_batch
from paybridge.wiring import payments

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch, Received

HANDLED_TYPES = frozenset({PAYMENT_CREATED, PROCESS_PAYMENT, FIND_LATE_CHANGE})

# The largest batch to take. The function's mapping in template.yaml has the same number.
BATCH_MESSAGES = 1_000

_SETTLED = frozenset({PaymentOutcome.SUCCEEDED, PaymentOutcome.FAILED})

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Charge the payments of the batch; wait up to `database_patience_seconds` if the database is down.

    Raises BrokerUnavailable: the whole batch must be redelivered.
    """
    counts = await run_batch(batch, _charge, database_patience_seconds)
    if "handed_back" not in counts:
        await asyncio.to_thread(_count_consumed, counts["messages"] + counts["poison"])
    return counts


def _count_consumed(messages: int) -> None:
    """Count the messages for the metrics. They are done, so a failure here is no reason to return them."""
    try:
        counters.add_alone(wiring.database(), {counters.MESSAGES_CONSUMED: messages})
    except PaybridgeError as error:
        log.warning("cannot count messages", extra={"messages": messages, "reason": str(error)})


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("consumer")
    payments.engine_services()


async def close() -> None:
    """Close the connections to the gateways after the last batch."""
    for gateway in payments.gateways().values():
        await gateway.close()


async def _charge(batch: Batch) -> dict[str, int]:
    services, watch = payments.engine_services(), GatewayWatch()
    orders: list[OperationOrder] = []
    ended: list[UUID] = []

    def sort_in(received: Received) -> None:
        if received.event.type == FIND_LATE_CHANGE:
            ended.append(_operation_id(received.event) or _payment_id(received.event))
        else:
            orders.append(order_of(received.event))

    for_each_event(batch, sort_in)
    try:
        await run_operations(services, orders, watch)
        watch.outcomes += await find_late_changes(services, ended)
    finally:
        # The next try finds what is committed done, and has no result of it.
        _log_gateway(watch, services.circuit_policy.cooldown_seconds)
        _emit_calls(watch)
        _log_outcomes(watch.outcomes, len(batch.events))
    return {"processed": len(watch.outcomes)}


def _log_outcomes(results: Sequence[PaymentResult], messages: int) -> None:
    log_results("processed payments", "payments", [_logged(result) for result in results], messages=messages)
    for result in results:
        if result.error is not None:
            log.error("a payment needs a person", extra={**asdict(result), "payment_id": str(result.payment_id)})
    settled = Counter(
        str(result.outcome) for result in results if result.outcome in _SETTLED and result.kind in FIRST_KINDS
    )
    emit_counts(log, wiring.environment_name(), Metric.PAYMENTS_SETTLED, settled, "Outcome")
    late_charges = sum(result.outcome is PaymentOutcome.CHARGED_TOO_LATE for result in results)
    if late_charges:
        emit(log, wiring.environment_name(), {Metric.LATE_CHARGES: late_charges})


def _emit_calls(watch: GatewayWatch) -> None:
    if watch.results:
        emit(log, wiring.environment_name(), {Metric.GATEWAY_LATENCY: watch.call_milliseconds})
    emit_counts(log, wiring.environment_name(), Metric.GATEWAY_CALLS, watch.results, "Result")


def _log_gateway(watch: GatewayWatch, cooldown_seconds: float) -> None:
    for change in watch.changes:
        merchant_id = None if change.merchant_id is None else str(change.merchant_id)
        found = {
            "scope": change.scope,
            "gateway": change.gateway,
            "merchant_id": merchant_id,
            "failures": change.failures,
        }
        if change.is_open:
            log.warning("the gateway fails: circuit opened", extra={**found, "cooldown_seconds": cooldown_seconds})
        else:
            log.info("the gateway answers: circuit closed", extra=found)
    for source, calls_per_second in watch.slowed.items():
        slowed = {
            "gateway": source.gateway,
            "merchant_id": str(source.merchant_id),
            "calls_per_second": round(calls_per_second, 1),
        }
        log.warning("the gateway limits the rate of calls: slowed down", extra=slowed)


def _logged(result: PaymentResult) -> dict[str, object]:
    return {
        "payment_id": str(result.payment_id),
        "correlation_id": result.correlation_id,
        "outcome": result.outcome,
        "kind": result.kind,
    }


def order_of(event: Event) -> OperationOrder:
    """Return what a message asks for. Raises MalformedMessage if it is about no payment."""
    payment_id = _payment_id(event)
    if event.type != PROCESS_PAYMENT:
        return OperationOrder(payment_id, 1)
    attempt, ask = _count(event.data.get("attempt"), 1), _count(event.data.get("ask"), 0)
    return OperationOrder(payment_id, attempt, ask, _operation_id(event))


def _payment_id(event: Event) -> UUID:
    if event.payment_id is None:
        raise MalformedMessage("the message is about no payment")
    return event.payment_id


def _operation_id(event: Event) -> UUID | None:
    """Return the operation that the command names; None for the charge, which older commands do not name."""
    try:
        return UUID(event.data.get("operation_id"))
    except (ValueError, TypeError, AttributeError):
        return None


def _count(value: object, default: int) -> int:
    return value if type(value) is int else default
