"""The jobs function: every minute, what has to be done from time to time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.domain.events import loggable
from paybridge.observability.logging import logger
from paybridge.usecases.maintenance.expire_answers import expire_answers
from paybridge.usecases.maintenance.extend_partitions import extend_partitions
from paybridge.usecases.maintenance.sweep_stuck import sweep_stuck
from paybridge.usecases.maintenance.sweep_webhooks import Swept, sweep_webhooks

STUCK_AFTER_SECONDS = 300

# One line names at most so many, to stay below the 256 KiB that CloudWatch takes.
LOGGED_MAX = 200

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Runs every job; each is safe to run twice, and at the same time as itself."""
    database, clock = wiring.database(), wiring.clock()
    stuck_after_seconds = wiring.environment().seconds("STUCK_AFTER_SECONDS", STUCK_AFTER_SECONDS)
    swept = sweep_stuck(database, clock, wiring.ids(), stuck_after_seconds)
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
    webhooks = sweep_webhooks(database, clock, wiring.ids(), stuck_after_seconds)
    _log_webhooks("sent stuck webhooks on", webhooks.deliveries)
    _log_webhooks("sent lost events on", webhooks.events)
    done = {
        "swept": len(swept),
        "swept_deliveries": len(webhooks.deliveries),
        "swept_events": len(webhooks.events),
        "expired_answers": expire_answers(database, clock),
        "new_partitions": extend_partitions(database),
    }
    log.info("jobs done", extra=done)
    return done


def _log_webhooks(message: str, found: Sequence[Swept]) -> None:
    for start in range(0, len(found), LOGGED_MAX):
        webhooks = [
            {"id": str(one.id), "payment_id": str(one.payment_id), "correlation_id": loggable(one.correlation_id)}
            for one in found[start : start + LOGGED_MAX]
        ]
        log.warning(message, extra={"webhooks": webhooks})
