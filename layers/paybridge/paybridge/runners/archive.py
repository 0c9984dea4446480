"""Work on the archive, and log what became of each month."""

from __future__ import annotations

from paybridge.archive.work import Worked, work_on_archive
from paybridge.observability.logging import logger
from paybridge.wiring import archive

log = logger()


def run_archive(seconds_max: float) -> dict[str, int]:
    """Work on the archive for about so long, and return counts.

    A month that fails does not stop the others. The first failure is raised at the end, for the alarm.
    """
    worked = work_on_archive(archive.services(), seconds_max)
    for month, reason in worked.waiting.items():
        log.warning("a month is not archived yet", extra={"month": month, "reason": reason})
    for month, error in worked.failed.items():
        log.error("cannot archive or restore a month", extra={"month": month, "reason": str(error)})
    counts = _counts(worked)
    log.info("archive done", extra=counts)
    for error in worked.failed.values():
        raise error
    return counts


def _counts(worked: Worked) -> dict[str, int]:
    return {
        "busy": int(worked.is_busy),
        "begun_months": worked.begun,
        "archived_months": worked.archived,
        "restored_months": worked.restored,
        "dropped_tables": worked.dropped,
        "waiting_months": len(worked.waiting),
    }
