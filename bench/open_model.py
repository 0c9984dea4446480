"""An open model of load: requests come when they come, whether or not those before them have been answered.

A closed model, in which each of N users waits for his answer before he asks again, slows down with the system: while it
stands still for ten seconds nobody asks, and ten seconds of bad latencies are N samples. That is coordinated omission.
Here the moments of arrival are laid down beforehand, and a latency is counted from the moment at which the request was
due: one that the generator itself sent late, or that came again after a refusal, has waited all that time.
"""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 100.0)


def arrivals(rate: float, *, poisson: bool, chance: random.Random) -> Iterator[float]:
    """Seconds after the start at which requests are due, `rate` a second on average, for ever.

    Poisson's are those of many customers who know nothing of each other; otherwise all gaps are equal.
    """
    at = 0.0
    while True:
        at += chance.expovariate(rate) if poisson else 1 / rate
        yield at


@dataclass(slots=True)
class Latencies:
    """Every latency of one operation in seconds, so that a percentile is exact and no bucket's."""

    since_due: array[float] = field(default_factory=lambda: array("d"))
    since_sent: array[float] = field(default_factory=lambda: array("d"))

    def add(self, due: float, first_sent: float, answered: float) -> None:
        """An operation that was due, sent for the first time, and answered for good, at these moments."""
        self.since_due.append(answered - due)
        self.since_sent.append(answered - first_sent)


def percentiles(values: array[float]) -> dict[float, float]:
    """The PERCENTILES of the values by the nearest rank; none without values."""
    ordered = sorted(values)
    return {percent: ordered[max(1, ceil(len(ordered) * percent / 100)) - 1] for percent in PERCENTILES if ordered}


@dataclass(slots=True)
class Recording:
    """What a run has met with: latencies and failures by operation, every answer by status."""

    latencies: dict[str, Latencies] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    # Refusals by 429 and 503 without Retry-After.
    silent_refusals: int = 0
    arrived: int = 0
    # Arrivals that found as many operations under way as are allowed, and were sent later.
    held_up: int = 0
    accepted: list[str] = field(default_factory=list)

    def of(self, operation: str) -> Latencies:
        """The latencies of this operation."""
        return self.latencies.setdefault(operation, Latencies())
