"""Run the jobs of each minute: partitions, sweeps and the metrics that only we can measure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from paybridge import wiring
from paybridge.core.errors import PaybridgeError, QueueMissing, reason_of
from paybridge.database import health
from paybridge.database.partitions import Month
from paybridge.fraud.dry_run import clean_up, work_on_dry_runs
from paybridge.notifications.reports import NotificationOutcome
from paybridge.notifications.sweep import is_lost, sweep_notifications
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit, emit_counts
from paybridge.observability.redaction import redact
from paybridge.operations.extend_partitions import extend_partitions
from paybridge.operations.fold_counters import fold_counters
from paybridge.operations.measure import measure_database, measure_queues
from paybridge.outbox.queues import DEAD_LETTER_QUEUES
from paybridge.payments.answer_reviews import expire_reviews
from paybridge.payments.domain.notice import NoticeOutcome
from paybridge.payments.expire_answers import expire_answers
from paybridge.payments.expire_authorizations import expire_authorizations
from paybridge.payments.review_circuits import review_circuits
from paybridge.payments.store.open_operations import OpenOperation
from paybridge.payments.sweep import send_late_checks, sweep_stalled, sweep_stalled_operations
from paybridge.payments.work_on_notices import expire_notices, work_on_due_notices
from paybridge.runners import dead_letters
from paybridge.runners.batch import LOGGED_MAX
from paybridge.webhooks.recover import work_on_recoveries
from paybridge.webhooks.resume import work_on_resumptions
from paybridge.webhooks.sweep import Swept, sweep_webhooks
from paybridge.wiring import broker, fraud, operations

# A month is time enough to find and end what keeps a partition out. The alarm partitions-missing has the same limit.
PARTITION_DAYS_MIN = 31

log = logger()


def run_jobs() -> dict[str, int]:
    """Run every job and return their counts. Each job may run twice, also at the same time.

    A job that fails does not stop the others. The first failure is raised at the end, for the alarm.
    """
    # Room for new payments comes first: nothing else is as bad to miss. Stalled payments are counted before they are
    # re-queued. The broker comes last, because it takes seconds to notice that it is down.
    jobs = (
        _extend_partitions,
        _measure_database,
        _sweep_payments,
        _sweep_operations,
        _expire_authorizations,
        _send_late_checks,
        _work_on_notices,
        _sweep_webhooks,
        _sweep_notifications,
        _work_on_recoveries,
        _work_on_resumptions,
        _expire_answers,
        _expire_reviews,
        _clean_up_fraud,
        _work_on_dry_runs,
        _expire_notices,
        _fold_counters,
        _review_circuits,
        _measure_queues,
    )
    counts: dict[str, int] = {}
    failures: list[Exception] = []
    for job in (_follow_clock, *jobs):
        try:
            counts |= job()
        except Exception as error:
            # Where an error that is not ours comes from, only the traceback says.
            reason = {"job": job.__name__.lstrip("_"), "reason": reason_of(error)}
            log.exception("a job failed", extra=reason, exc_info=not isinstance(error, PaybridgeError))
            failures.append(error)
    log.info("jobs done", extra=counts)
    if failures:
        raise failures[0]
    return counts


def _follow_clock() -> dict[str, int]:
    """Let the sweeps measure ages by the clock that all environments share."""
    wiring.clock().follow(health.ping(wiring.database()))
    return {}


def _extend_partitions() -> dict[str, int]:
    extended = extend_partitions(wiring.database(), _log_missing_partition)
    emit(log, wiring.environment_name(), {Metric.PARTITION_DAYS_LEFT: extended.days_left})
    return {"new_partitions": len(extended.created), "partition_days_left": int(extended.days_left)}


def _log_missing_partition(month: Month, error: Exception) -> None:
    """Log a partition that is not there yet: the next run tries again. It is an error once its month is near."""
    level = logging.ERROR if month.begins_in_days < PARTITION_DAYS_MIN else logging.WARNING
    extra = {"partition": month.partition, "begins_in_days": int(month.begins_in_days), "reason": reason_of(error)}
    logging.getLogger(log.name).log(level, "cannot create a partition yet", extra=extra)


def _measure_database() -> dict[str, int]:
    figures = measure_database(wiring.database(), wiring.clock(), operations.stalled_after_seconds())
    values = {
        Metric.OUTBOX_AGE: figures.outbox_age_seconds,
        Metric.OUTBOX_DUE: figures.outbox_due,
        Metric.STUCK_PAYMENTS: figures.stalled_payments,
        Metric.DEAD_LETTERS: figures.dead_letters,
        Metric.OPEN_OPERATIONS: len(figures.old_operations),
    }
    emit(log, wiring.environment_name(), values)
    return {
        "outbox_due": figures.outbox_due,
        "stuck_payments": figures.stalled_payments,
        "dead_letters": figures.dead_letters,
        "open_operations": len(figures.old_operations),
    }


def _measure_queues() -> dict[str, int]:
    figures = wiring.run(measure_queues(broker.queue_depths(), operations.queues()))
    for queue, depth in figures.depths.items():
        emit(log, wiring.environment_name(), {Metric.QUEUE_DEPTH: depth}, Queue=queue)
    if figures.missing:
        raise QueueMissing(f"The broker has no queue {', '.join(figures.missing)}: apply infra/terraform/topology.")
    return {"queued": sum(figures.depths.values()), "left_dead_letters": _record_left(figures.depths)}


def _record_left(depths: Mapping[str, int]) -> int:
    """Record the dead letters that wait although a function takes from their queue all the time."""
    if not any(depths.get(queue) for queue in DEAD_LETTER_QUEUES):
        return 0
    return wiring.run(dead_letters.record_left())


def _fold_counters() -> dict[str, int]:
    return {"folded_counts": fold_counters(wiring.database())}


def _expire_answers() -> dict[str, int]:
    return {"expired_answers": expire_answers(wiring.database(), wiring.clock())}


def _expire_reviews() -> dict[str, int]:
    return {"expired_reviews": expire_reviews(fraud.review_services(), fraud.expiry_answer())}


def _clean_up_fraud() -> dict[str, int]:
    return {"deleted_counter_points": clean_up(fraud.services())}


def _work_on_dry_runs() -> dict[str, int]:
    return {"finished_dry_runs": work_on_dry_runs(fraud.services())}


def _review_circuits() -> dict[str, int]:
    is_open = review_circuits(wiring.database(), wiring.clock())
    emit(log, wiring.environment_name(), {Metric.CIRCUIT_OPEN: int(is_open)})
    return {"circuit_open": int(is_open)}


def _sweep_payments() -> dict[str, int]:
    swept = sweep_stalled(wiring.database(), wiring.clock(), wiring.ids(), operations.stalled_after_seconds())
    for payment in swept:
        log.warning(
            "re-queued a stalled payment",
            extra={
                "payment_id": str(payment.id),
                "status": payment.status,
                "attempts": payment.attempts,
                "correlation_id": payment.correlation_id,
            },
        )
    return {"swept": len(swept)}


def _sweep_operations() -> dict[str, int]:
    seconds = operations.stalled_after_seconds()
    swept = sweep_stalled_operations(wiring.database(), wiring.clock(), wiring.ids(), seconds)
    for operation in swept:
        log.warning("re-queued a stalled operation", extra=_logged(operation))
    return {"swept_operations": len(swept)}


def _logged(operation: OpenOperation) -> dict[str, object]:
    return {
        "payment_id": str(operation.payment_id),
        "operation_id": str(operation.id),
        "kind": operation.kind,
        "status": operation.status,
        "attempts": operation.number,
        "correlation_id": redact(operation.correlation_id),
    }


def _expire_authorizations() -> dict[str, int]:
    return {"expired_authorizations": len(expire_authorizations(wiring.database(), wiring.clock(), wiring.ids()))}


def _send_late_checks() -> dict[str, int]:
    return {"late_checks": len(send_late_checks(wiring.database(), wiring.clock(), wiring.ids()))}


def _work_on_notices() -> dict[str, int]:
    worked = work_on_due_notices(wiring.database(), wiring.clock(), wiring.ids())
    for key, outcome in worked.outcomes.items():
        if outcome is NoticeOutcome.UNKNOWN:
            log.warning("a gateway's notice names no operation of ours", extra=key._asdict())
    for key, month in worked.archived.items():
        log.error("a gateway's notice waits for an archived month", extra={**key._asdict(), "month": f"{month:%Y-%m}"})
    for key, reason in worked.refused.items():
        log.error("cannot work on a gateway's notice", extra={**key._asdict(), "reason": reason})
    return {"notices": len(worked.outcomes)}


def _expire_notices() -> dict[str, int]:
    return {"expired_notices": expire_notices(wiring.database(), wiring.clock())}


def _sweep_webhooks() -> dict[str, int]:
    seconds = operations.stalled_after_seconds()
    webhooks = sweep_webhooks(wiring.database(), wiring.clock(), wiring.ids(), seconds)
    _log_webhooks("re-queued stalled webhooks", webhooks.deliveries)
    _log_webhooks("re-queued lost events", webhooks.events)
    return {"swept_deliveries": len(webhooks.deliveries), "swept_events": len(webhooks.events)}


def _sweep_notifications() -> dict[str, int]:
    seconds = operations.stalled_after_seconds()
    swept = sweep_notifications(wiring.database(), wiring.clock(), wiring.ids(), seconds)
    for notification in swept:
        message = "an SMS stays unclear" if is_lost(notification) else "re-queued a stalled notification"
        extra = {"notification_id": str(notification.id), "payment_id": str(notification.payment_id)}
        log.warning(message, extra=extra)
    if lost := sum(map(is_lost, swept)):
        emit_counts(log, wiring.environment_name(), Metric.NOTIFICATIONS, {NotificationOutcome.UNCLEAR: lost}, "Result")
    return {"swept_notifications": len(swept)}


def _work_on_resumptions() -> dict[str, int]:
    return {"resumed_deliveries": work_on_resumptions(wiring.database(), wiring.clock(), wiring.ids())}


def _work_on_recoveries() -> dict[str, int]:
    return {"ended_recoveries": work_on_recoveries(wiring.database(), wiring.clock(), wiring.ids())}


def _log_webhooks(message: str, found: Sequence[Swept]) -> None:
    for start in range(0, len(found), LOGGED_MAX):
        webhooks = [
            {
                "id": str(swept.id),
                "payment_id": str(swept.payment_id),
                "correlation_id": redact(swept.correlation_id),
            }
            for swept in found[start : start + LOGGED_MAX]
        ]
        log.warning(message, extra={"webhooks": webhooks})
