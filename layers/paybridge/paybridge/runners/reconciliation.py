"""Begin the reconciliation of each day that is over, and work on those that run."""

from __future__ import annotations

import time

from paybridge import wiring
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import (
    Progress,
    clean_up,
    count_troubles,
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
    _measure(services)
    return {"reconciling": moved, "reconciled": ended, "deleted_statement_lines": clean_up(services)}


def _measure(services: ReconciliationServices) -> None:
    """Emit the gauges, once in each minute."""
    now = time.monotonic()
    if _measured_at and now - _measured_at[-1] < GAUGE_SECONDS:
        return
    _measured_at[:] = [now]
    open_breaks, failed = count_troubles(services)
    values = {Metric.RECONCILIATION_BREAKS: open_breaks, Metric.FAILED_RECONCILIATIONS: failed}
    emit(log, wiring.environment_name(), values)
