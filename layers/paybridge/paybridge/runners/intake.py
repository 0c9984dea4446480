"""Accept the payments that a batch of the queue `payments.intake` orders."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.intake.accept import IntakeOutcome, IntakeResult, accept_messages
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit
from paybridge.runners.batch import log_results, run_batch
from paybridge.wiring import broker
from paybridge.wiring import intake as intake_wiring

if TYPE_CHECKING:
    from paybridge.rabbitmq.unread import UnreadBatch

# The largest batch to take. The function's mapping in template.yaml has the same number.
BATCH_MESSAGES = 500

log = logger()


async def handle(batch: UnreadBatch, database_patience_seconds: float) -> dict[str, int]:
    """Accept the payments of the batch; wait up to `database_patience_seconds` if the database is down.

    Raises BrokerUnavailable: the whole batch must be redelivered.
    """
    return await run_batch(batch, _accept, database_patience_seconds)


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("intake")
    intake_wiring.services()


async def close() -> None:
    """Do nothing: accepting keeps no connection but the database's."""


async def _accept(batch: UnreadBatch) -> dict[str, int]:
    messages = [unread.message for unread in batch.events]
    # In a thread, so that a worker's connection to the broker keeps its heartbeat.
    results = await asyncio.to_thread(accept_messages, intake_wiring.services(), messages)
    postponed = []
    for unread, result in zip(batch.events, results, strict=True):
        if result.outcome is IntakeOutcome.REFUSED:
            batch.poison.append(unread.poison(result.reason))
        elif result.outcome is IntakeOutcome.POSTPONED:
            postponed.append(unread)
    _log(results)
    if postponed:
        await broker.hand_back(postponed)
    counts = Counter(result.outcome for result in results)
    accepted = counts[IntakeOutcome.ACCEPTED]
    if accepted:
        emit(log, wiring.environment_name(), {Metric.PAYMENTS_ACCEPTED: accepted})
    return {
        "accepted": accepted,
        "repeated": counts[IntakeOutcome.REPEATED],
        "postponed": len(postponed),
    }


def _log(results: Sequence[IntakeResult]) -> None:
    logged = [
        {
            "outcome": result.outcome,
            "payment_id": None if result.payment_id is None else str(result.payment_id),
            "merchant_id": None if result.merchant_id is None else str(result.merchant_id),
            "correlation_id": result.correlation_id,
            "reason": result.reason,
        }
        for result in results
    ]
    log_results("took payments by message", "payments", logged, messages=len(results))
