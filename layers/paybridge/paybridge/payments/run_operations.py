"""Ask the gateways for the operations of a batch, each exactly once in effect.

    start     decide, and commit the attempts                one transaction for each part of the batch
    call      call the gateway, for all attempts at once     no transaction
    record    commit outcomes and events as answers come     one transaction for each group of answers

A process that dies at any point leaves no attempt, a started attempt, or a settled operation. The next delivery asks
the gateway for the outcome of a started attempt, with the same idempotency key. So nothing is done twice or lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from paybridge.core.errors import PaybridgeError
from paybridge.core.groups import AnswerGroups
from paybridge.payments.call_gateway import call_gateway
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    GatewayOutcome,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.ports import PaymentGateway
from paybridge.payments.record_answers import record_answers
from paybridge.payments.records import AnsweredAttempt, Attempt, EngineServices, OperationOrder, PaymentResult
from paybridge.payments.start_attempts import start_attempts

# Answers that come this close together are recorded in one transaction.
GROUP_SECONDS = 0.02
# Attempts started in one transaction. With smaller parts the gateway begins sooner, at the cost of more transactions.
PART_ORDERS = 500

# The dimension `Result` of the metric GatewayCalls. What succeeded is `charged` for every kind, as on older dashboards.
_RESULTS: Mapping[type[GatewayOutcome], str] = {
    Succeeded: "charged",
    PartlyApproved: "partially_charged",
    Declined: "declined",
    Pending: "pending",
    UnderWay: "under_way",
    RateLimited: "rate_limited",
    Contradictory: "contradictory",
    Unknown: "unknown",
}


async def run_operations(
    services: EngineServices, orders: Sequence[OperationOrder], watch: GatewayWatch | None = None
) -> list[PaymentResult]:
    """Ask for the operations of the orders and return the result of each that was still open.

    `watch` is filled with what the batch saw of the gateway, and with the results.
    The gateway works on one part of the orders while the next one starts. Raises DatabaseUnavailable or LockTimeout,
    after the parts that did start are recorded: the whole batch must be redelivered.
    """
    watch = watch or GatewayWatch()
    failure: PaybridgeError | None = None
    async with AnswerGroups[AnsweredAttempt](GROUP_SECONDS) as calls:
        for part in _parts(orders):
            try:
                batch = await asyncio.to_thread(start_attempts, services, part, watch)
            except PaybridgeError as error:
                failure = error
                break
            watch.outcomes += batch.results
            calls.start(_call_when_due(services.gateways, attempt, watch) for attempt in batch.attempts)
        async for answers in calls:
            await asyncio.to_thread(record_answers, services, answers, watch)
    if failure is not None:
        raise failure
    return watch.outcomes


async def _call_when_due(
    gateways: Mapping[str, PaymentGateway], attempt: Attempt, watch: GatewayWatch
) -> AnsweredAttempt:
    """Make the attempt as soon as the merchant's pace allows."""
    if watch.due_seconds:
        await asyncio.sleep(watch.due_seconds.get(attempt.operation.id, 0.0))
    started_at = time.perf_counter()
    answered = await call_gateway(gateways, attempt)
    watch.call_milliseconds.append((time.perf_counter() - started_at) * 1000)
    watch.results[_RESULTS[type(answered.answer)]] += 1
    return answered


def _parts(orders: Sequence[OperationOrder]) -> list[list[OperationOrder]]:
    """Split the orders into parts, with one order for each operation: the one for its latest attempt."""
    latest: dict[UUID, OperationOrder] = {}
    for order in orders:
        known = latest.get(order.id)
        if known is None or (known.number, known.ask) < (order.number, order.ask):
            latest[order.id] = order
    distinct = list(latest.values())
    return [distinct[start : start + PART_ORDERS] for start in range(0, len(distinct), PART_ORDERS)]
