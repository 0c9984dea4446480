"""Audit the outbox each night, among the long jobs, and emit how many gaps the last audit has found."""

from __future__ import annotations

import time
from collections.abc import Callable

from paybridge import wiring
from paybridge.audit.domain import NightlyAudit
from paybridge.audit.nightly import audit_nightly, find_last
from paybridge.audit.ports import AuditServices
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit, emit_counts
from paybridge.wiring import audit as audit_wiring

# The gauge is of each minute.
GAUGE_SECONDS = 60.0

log = logger()


class AuditJob:
    """Audits the outbox, and measures what the last audit has found."""

    __name__ = "audit_outbox"

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._measures_at = monotonic()

    def __call__(self, seconds_max: float) -> dict[str, int]:
        """Work for at most so many seconds, and a slice more. Raises DatabaseUnavailable and LockTimeout."""
        services = audit_wiring.services()
        turn = audit_nightly(services, wiring.ids(), seconds_max)
        if turn.ended is not None:
            _log_end(turn.ended)
        if turn.ended is not None or self._monotonic() >= self._measures_at:
            self._measures_at = self._monotonic() + GAUGE_SECONDS
            _measure(services)
        return {"audited": turn.checked}


def _log_end(audit: NightlyAudit) -> None:
    page = audit.page
    extra = {
        "audit_id": str(audit.id),
        "checked": page.checked,
        "payments": page.payments,
        "others": page.others,
        "is_complete": page.position is None,
        "gaps_by_kind": page.kinds,
    }
    if page.gaps:
        log.error("an audit of the outbox found gaps", extra=extra)
    else:
        log.info("an audit of the outbox found no gap", extra=extra)


def _measure(services: AuditServices) -> None:
    """Emit the gauge, in all and by kind. Before the first audit has ended nothing is known."""
    last = find_last(services)
    if last is None:
        return
    environment = wiring.environment_name()
    if last.page.gaps:
        emit_counts(log, environment, Metric.OUTBOX_GAPS, last.page.kinds, "Kind")
    else:
        emit(log, environment, {Metric.OUTBOX_GAPS: 0})
