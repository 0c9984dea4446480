"""Begin the reconciliation of each day that is over, and work on those that run."""

from __future__ import annotations

import time
from uuid import UUID

from paybridge import wiring
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit
from paybridge.reconciliation.domain.run import Run, RunState, amounts_of
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import (
    Progress,
    clean_up,
    count_troubles,
    find_reconciliation,
    running,
    start_nightly,
    work_on,
)
from paybridge.wiring import reconciliation

# The gauges are of each minute.
GAUGE_SECONDS = 60.0

log = logger()
_measured_at: list[float] = []


def reconcile(seconds_max: float) -> dict[str, int]:
    """Work on the reconciliations for so many seconds, and a slice more; see `paybridge.runners.long_jobs`."""
    services = reconciliation.services()
    ends_at = time.monotonic() + seconds_max
    for run in start_nightly(services):
        log.info("a reconciliation begins", extra={"reconciliation_id": str(run.id), "date": run.day.isoformat()})
    moved = ended = 0
    for id_ in running(services):
        seconds_left = ends_at - time.monotonic()
        if seconds_left <= 0:
            break
        progress = wiring.run(work_on(services, id_, seconds_left))
        moved += progress is Progress.MOVED
        if progress is Progress.ENDED:
            ended += 1
            log_end(services, id_)
    _measure(services)
    return {"reconciling": moved, "reconciled": ended, "deleted_statement_lines": clean_up(services)}


def log_end(services: ReconciliationServices, id_: UUID) -> None:
    """Log how a reconciliation ended. One that failed is an error: the books cannot be trusted for that day."""
    found = find_reconciliation(services, id_)
    if found is None or found[0].state is RunState.RUNNING:
        return
    run, counts = found
    extra = {**_logged(run), "breaks": counts.standing, "breaks_by_type": dict(counts.by_type)}
    if run.state is RunState.FAILED:
        log.error("a reconciliation failed", extra={**extra, "reason": run.error})
    elif counts.standing:
        log.warning("a reconciliation found breaks", extra=extra)
    else:
        log.info("a reconciliation finished", extra=extra)


def _logged(run: Run) -> dict[str, object]:
    return {
        "reconciliation_id": str(run.id),
        "date": run.day.isoformat(),
        "matched": run.matched,
        "difference": amounts_of(run.difference or {}),
        "unexplained": amounts_of(run.unexplained or {}),
    }


def _measure(services: ReconciliationServices) -> None:
    """Emit the gauges, once in each minute."""
    now = time.monotonic()
    if _measured_at and now - _measured_at[-1] < GAUGE_SECONDS:
        return
    _measured_at[:] = [now]
    open_breaks, failed = count_troubles(services)
    values = {Metric.RECONCILIATION_BREAKS: open_breaks, Metric.FAILED_RECONCILIATIONS: failed}
    emit(log, wiring.environment_name(), values)
