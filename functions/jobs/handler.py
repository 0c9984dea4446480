"""The jobs function: every minute, what has to be done from time to time, and figures of how things stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.core.errors import PaybridgeError, QueueMissing
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, tell
from paybridge.observability.redaction import loggable
from paybridge.operations.extend_partitions import extend_partitions
from paybridge.operations.measure import measure_database, measure_queues
from paybridge.outbox.queues import DEAD_LETTER_QUEUE, all_queues
from paybridge.payments.expire_answers import expire_answers
from paybridge.payments.sweep import sweep_stuck
from paybridge.webhooks.sweep import Swept, sweep_webhooks

STUCK_AFTER_SECONDS = 300

# One line names at most so many, to stay below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Runs every job; each is safe to run twice, and at the same time as itself.

    A job that fails does not keep the others from running; the first failure is raised at the end, for the alarm.
    """
    # Room for new payments comes first: nothing else is as bad to miss. What is stuck is counted before it is sent on,
    # and the broker is asked last: one that is away takes seconds to say so.
    jobs = (
        _extend_partitions,
        _measure_database,
        _sweep_payments,
        _sweep_webhooks,
        _expire_answers,
        _measure_queues,
    )
    done: dict[str, int] = {}
    failures: list[PaybridgeError] = []
    for job in jobs:
        try:
            done |= job()
        except PaybridgeError as error:
            reason = {"job": job.__name__.lstrip("_"), "reason": str(error)}
            log.error("a job failed", extra=reason)  # noqa: TRY400 - the reason says it all, and a trace less
            failures.append(error)
    log.info("jobs done", extra=done)
    if failures:
        raise failures[0]
    return done


def _extend_partitions() -> dict[str, int]:
    return {"new_partitions": extend_partitions(wiring.database())}


def _measure_database() -> dict[str, int]:
    figures = measure_database(wiring.database(), wiring.clock(), _stuck_after_seconds())
    values = {
        Metric.OUTBOX_AGE: figures.outbox_age_seconds,
        Metric.OUTBOX_DUE: figures.outbox_due,
        Metric.STUCK_PAYMENTS: figures.stuck_payments,
    }
    tell(log, wiring.environment_name(), values)
    return {"outbox_due": figures.outbox_due, "stuck_payments": figures.stuck_payments}


def _measure_queues() -> dict[str, int]:
    queues = all_queues(wiring.payment_shards())
    figures = wiring.run(measure_queues(wiring.queue_depths(), queues))
    for queue, depth in figures.depths.items():
        tell(log, wiring.environment_name(), {Metric.QUEUE_DEPTH: depth}, Queue=queue)
    if figures.missing:
        raise QueueMissing(f"The broker has no queue {', '.join(figures.missing)}: apply infra/terraform/topology.")
    return {"queued": sum(figures.depths.values()), "dead_letters": figures.depths[DEAD_LETTER_QUEUE]}


def _expire_answers() -> dict[str, int]:
    return {"expired_answers": expire_answers(wiring.database(), wiring.clock())}


def _sweep_payments() -> dict[str, int]:
    swept = sweep_stuck(wiring.database(), wiring.clock(), wiring.ids(), _stuck_after_seconds())
    for payment in swept:
        log.warning(
            "sent a stuck payment on",
            extra={
                "payment_id": str(payment.id),
                "status": payment.status,
                "attempts": payment.attempts,
                "correlation_id": payment.correlation_id,
            },
        )
    return {"swept": len(swept)}


def _sweep_webhooks() -> dict[str, int]:
    webhooks = sweep_webhooks(wiring.database(), wiring.clock(), wiring.ids(), _stuck_after_seconds())
    _log_webhooks("sent stuck webhooks on", webhooks.deliveries)
    _log_webhooks("sent lost events on", webhooks.events)
    return {"swept_deliveries": len(webhooks.deliveries), "swept_events": len(webhooks.events)}


def _stuck_after_seconds() -> float:
    return wiring.environment().seconds("STUCK_AFTER_SECONDS", STUCK_AFTER_SECONDS)


def _log_webhooks(message: str, found: Sequence[Swept]) -> None:
    for start in range(0, len(found), LOGGED_MAX):
        webhooks = [
            {"id": str(one.id), "payment_id": str(one.payment_id), "correlation_id": loggable(one.correlation_id)}
            for one in found[start : start + LOGGED_MAX]
        ]
        log.warning(message, extra={"webhooks": webhooks})
