"""The time of the jobs function for what it works on one after another."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from uuid import UUID


def within(seconds_max: float, ids: Iterable[UUID]) -> Iterator[tuple[UUID, float]]:
    """Yield each id with the seconds that are left, until there are none."""
    ends_at = time.monotonic() + seconds_max
    for id_ in ids:
        seconds_left = ends_at - time.monotonic()
        if seconds_left <= 0:
            return
        yield id_, seconds_left
