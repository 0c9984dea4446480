"""Check by an audit of the newest hour or day that no event was lost."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from paybridge.audit.domain import AuditOrder, AuditPage
from paybridge.audit.ports import AuditServices
from paybridge.audit.run import begin, run_audit
from paybridge.core.findings import Finding

# What is audited, and for how long at most. `paybridge outbox audit` audits any range.
RANGE, SECONDS_MAX = timedelta(hours=1), 5.0
FULL_RANGE, FULL_SECONDS_MAX = timedelta(days=1), 600.0


def check_outbox(services: AuditServices, full: bool) -> Finding:
    """Check that every change has its event, and that every event was published and seen. Raises DatabaseUnavailable.

    If the time was too short and no gap was found, the finding neither holds nor fails.
    """
    now = services.clock.now()
    order = AuditOrder(begin_at=now - (FULL_RANGE if full else RANGE), end_at=now)
    page = run_audit(services, order, begin(order), FULL_SECONDS_MAX if full else SECONDS_MAX)
    checked = page.payments + page.checked
    if page.gaps:
        return Finding(False, checked, _described(page))
    if page.position is not None:
        return Finding(None, checked, f"{page.progress:.0%} was audited in time: `paybridge outbox audit` does it all")
    return Finding(True, checked)


def _described(page: AuditPage) -> str:
    kinds = Counter(str(gap.kind) for gap in page.gaps)
    first = page.gaps[0]
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return f"{counts}; first {first.subject_type} {first.subject_id}: {first.detail}"
