"""Log how the comparison of a day ended."""

from __future__ import annotations

from paybridge.observability.logging import logger
from paybridge.reconciliation.domain.run import BreakCounts, Run, RunState, amounts_of

log = logger()


def log_end(run: Run, counts: BreakCounts) -> None:
    """Log how a reconciliation ended. One that failed is an error: the books cannot be trusted for that day."""
    extra = {
        "reconciliation_id": str(run.id),
        "date": run.day.isoformat(),
        "matched": run.matched,
        "difference": amounts_of(run.difference or {}),
        "unexplained": amounts_of(run.unexplained or {}),
        "breaks": counts.standing,
        "breaks_by_type": dict(counts.by_type),
    }
    if run.state is RunState.FAILED:
        log.error("a reconciliation failed", extra={**extra, "reason": run.error})
    elif counts.standing:
        log.warning("a reconciliation found breaks", extra=extra)
    else:
        log.info("a reconciliation finished", extra=extra)
