"""Run the jobs that may take longer than an invocation, in turns.

Each job keeps its work and its position in the database, does it in slices of one transaction, and goes on where the
last slice ended, in this invocation or in one of the next minutes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from paybridge import wiring
from paybridge.core.errors import PaybridgeError, reason_of
from paybridge.database import health
from paybridge.ledger.drop_book import work_on_drops
from paybridge.ledger.rebuild import work_on_rebuilds
from paybridge.ledger.seal import seal_books
from paybridge.observability.logging import logger
from paybridge.replay.dry_run import work_on_dry_runs
from paybridge.runners.analytics import AnalyticsJob
from paybridge.runners.audit import AuditJob
from paybridge.runners.reconciliation import reconcile
from paybridge.runners.verification import verify_invariants
from paybridge.wiring import rebuilds, replay

# A job with much to do lets the others go on after so long.
TURN_SECONDS_MAX = 10.0

log = logger()

# Works for at most so many seconds, and a slice more. The counts say what it did: none, or only zeros, if there was
# nothing to do.
LongJob = Callable[[float], dict[str, int]]


def run_long_jobs(
    seconds_max: float, jobs: Sequence[LongJob] | None = None, monotonic: Callable[[], float] = time.monotonic
) -> dict[str, int]:
    """Give the jobs turns until none has anything to do or the time is over; return the sums of their counts.

    Each job may run twice, also at the same time. A job that fails gets no further turn, and does not stop the others.
    The first failure is raised at the end, for the alarm.
    """
    ends_at = monotonic() + seconds_max
    counts: Counter[str] = Counter()
    failures: list[Exception] = []

    def has_more(job: LongJob) -> bool:
        """Give the job a turn, and tell whether it may have more to do."""
        seconds_left = ends_at - monotonic()
        if seconds_left <= 0:
            return False
        try:
            done = job(min(seconds_left, TURN_SECONDS_MAX))
        except Exception as error:
            # Where an error that is not ours comes from, only the traceback says.
            reason = {"job": job.__name__.lstrip("_"), "reason": reason_of(error)}
            log.exception("a job failed", extra=reason, exc_info=not isinstance(error, PaybridgeError))
            failures.append(error)
            return False
        counts.update(done)
        return any(done.values())

    wiring.clock().follow(health.ping(wiring.database()))
    waiting = list(JOBS if jobs is None else jobs)
    while waiting:
        waiting = [job for job in waiting if has_more(job)]
    log.info("long jobs done", extra=dict(counts))
    if failures:
        raise failures[0]
    return dict(counts)


def _work_on_dry_runs_of_replays(seconds_max: float) -> dict[str, int]:
    return {"replay_dry_runs": work_on_dry_runs(replay.services(), seconds_max)}


def _work_on_rebuilds(seconds_max: float) -> dict[str, int]:
    return {"rebuilt": work_on_rebuilds(rebuilds.services(), seconds_max)}


def _drop_books(seconds_max: float) -> dict[str, int]:
    return {"dropped_books": work_on_drops(wiring.database(), seconds_max)}


def _seal_books(seconds_max: float) -> dict[str, int]:
    return {"sealed_journals": seal_books(wiring.database(), seconds_max).journals}


JOBS: Sequence[LongJob] = (
    _work_on_dry_runs_of_replays,
    AnalyticsJob(),
    _seal_books,
    _work_on_rebuilds,
    _drop_books,
    reconcile,
    verify_invariants,
    AuditJob(),
)
