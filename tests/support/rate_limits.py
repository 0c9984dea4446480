"""Judge when requests were admitted."""

from __future__ import annotations

from collections.abc import Sequence

from paybridge.access.domain.rate_limit import RateLimit

# Clocks are read as floating-point seconds.
TOLERANCE = 1e-6


def excess(moments: Sequence[float], limit: RateLimit) -> float:
    """Return by how many requests the worst window exceeds `burst` + `per_second` * its length, at most 0 if none does.

    Every window of every length is judged: one that begins and ends with a request is the worst of its kind. The
    moments are in seconds and ascending.
    """
    worst, lowest = -float(limit.burst), float("inf")
    for number, moment in enumerate(moments):
        level = number - limit.per_second * moment
        lowest = min(lowest, level)
        worst = max(worst, level + 1 - lowest - limit.burst)
    return worst - TOLERANCE
