"""An open model of load: requests arrive whether or not earlier ones have been answered.

In a closed model each of N users waits for an answer before the next request, so the load slows down with the system.
If the system stalls for ten seconds, no requests arrive, and ten seconds of bad latencies become N samples. That is
coordinated omission. Here the arrival times are fixed beforehand, and latency counts from the time at which a request
was due. A request that the generator sent late, or repeated after a refusal, has waited all that time.
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
    """Yield the seconds after the start at which requests are due, `rate` a second on average, without end.

    With `poisson` the gaps are those of many independent customers. Otherwise all gaps are equal.
    """
    at = 0.0
    while True:
        at += chance.expovariate(rate) if poisson else 1 / rate
        yield at


@dataclass(slots=True)
class Latencies:
    """All latencies of an operation in seconds. Percentiles are exact, not those of a histogram's buckets."""

    since_due: array[float] = field(default_factory=lambda: array("d"))
    since_sent: array[float] = field(default_factory=lambda: array("d"))

    def add(self, due: float, first_sent: float, answered: float) -> None:
        """Add an operation by the moments when it was due, first sent, and finally answered."""
        self.since_due.append(answered - due)
        self.since_sent.append(answered - first_sent)


def percentiles(values: array[float]) -> dict[float, float]:
    """Return the PERCENTILES of the values by nearest rank, or nothing without values."""
    ordered = sorted(values)
    return {percent: ordered[max(1, ceil(len(ordered) * percent / 100)) - 1] for percent in PERCENTILES if ordered}


@dataclass(slots=True)
class Recording:
    """The answers of a run: latencies and failures by operation, all answers by status."""

    latencies: dict[str, Latencies] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    # Answers of 429 and 503 without Retry-After.
    silent_refusals: int = 0
    arrived: int = 0
    # Arrivals that were sent late, because too many operations were in flight.
    held_up: int = 0
    accepted: list[str] = field(default_factory=list)

    def of(self, operation: str) -> Latencies:
        """Return the latencies of an operation."""
        return self.latencies.setdefault(operation, Latencies())
