"""Check every invariant once an hour, among the long jobs."""

from __future__ import annotations

from paybridge import wiring
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit
from paybridge.verification.verify_hourly import count_broken, verify_next
from paybridge.wiring import verification

log = logger()


def verify_invariants(seconds_max: float) -> dict[str, int]:
    """Make one check that is due; see `paybridge.runners.long_jobs`.

    A check looks at what is newest, and takes seconds. One that had too little time, or whose statement the database
    cancelled, is logged.
    """
    del seconds_max
    database, clock = wiring.database(), wiring.clock()
    named = verify_next(database, clock, verification.checks_over(database, clock, wiring.ids()))
    if named is None:
        return {}
    if named.finding.holds is False:
        log.error("an invariant does not hold", extra=named.view())
    elif named.finding.holds is None:
        log.warning("an invariant could not be checked", extra=named.view())
    emit(log, wiring.environment_name(), {Metric.BROKEN_INVARIANTS: count_broken(database)})
    return {"verified_invariants": 1}
