"""The jobs function: every minute, what has to be done from time to time."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.observability.logging import logger
from paybridge.usecases.maintenance.expire_answers import expire_answers
from paybridge.usecases.maintenance.extend_partitions import extend_partitions
from paybridge.usecases.maintenance.sweep_stuck import sweep_stuck

STUCK_AFTER_SECONDS = 300

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
    done = {
        "swept": len(swept),
        "expired_answers": expire_answers(database, clock),
        "new_partitions": extend_partitions(database),
    }
    log.info("jobs done", extra=done)
    return done
