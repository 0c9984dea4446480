"""Count the payments of each key in sliding windows, exactly.

A key's counter only grows: it holds how many payments were ever counted, and their sums by currency. Each moment at
which payments were counted leaves a point that says what the counter was before. How many payments lie in a window is
what the counter says now, less what it said before the first point in the window. So a window costs one look at one
point, however many payments are in it, and points can be deleted once they are older than every window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from paybridge.fraud.domain.rules import Count, Per, ScreenedPayment, Window

Sums = Mapping[str, int]


class Key(NamedTuple):
    """A counter's key. `owner_id` is the merchant, or the dry run that counts for itself; `digest` names the rest.

    Both are UUIDs as text, because a batch looks keys up often and Python hashes a text once.
    """

    owner_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Point:
    """A moment at which payments were counted, and what the counter was before it."""

    at: datetime
    count_before: int
    sums_before: Sums


@dataclass(slots=True)
class Tally:
    """The counter of one key while a batch counts. `points` are those that the batch adds, the oldest first."""

    count: int = 0
    sums: dict[str, int] = field(default_factory=dict)
    last_at: datetime | None = None
    points: list[Point] = field(default_factory=list)

    def time_of(self, at: datetime) -> datetime:
        """Return when a payment counts: never before the one that was counted last, whatever the clocks say."""
        return at if self.last_at is None else max(at, self.last_at)

    def within(self, at: datetime, window_seconds: int, stored: Point | None, currency: str) -> Count:
        """Return what was counted in the window that ends at `at`; `stored` is its first point before this batch."""
        since = self.time_of(at) - timedelta(seconds=window_seconds)
        first = stored or next((point for point in self.points if point.at > since), None)
        if first is None:
            return Count(0, 0)
        amount_minor = self.sums.get(currency, 0) - first.sums_before.get(currency, 0)
        return Count(self.count - first.count_before, amount_minor)

    def add(self, at: datetime, currency: str, amount_minor: int) -> None:
        """Count one payment."""
        at = self.time_of(at)
        if not self.points or self.points[-1].at < at:
            self.points.append(Point(at, self.count, dict(self.sums)))
        self.count += 1
        self.sums[currency] = self.sums.get(currency, 0) + amount_minor
        self.last_at = at


def key_of(owner_id: str, per: Per, value: str) -> Key:
    """Return the key of a value. Its digest keeps rows short, and customers' names out of them."""
    return Key(owner_id, blake2b(f"{per}\0{value}".encode(), digest_size=16).hexdigest())


def keys_of(owner_id: str, candidate: ScreenedPayment, pers: Iterable[Per]) -> dict[Per, Key]:
    """Return the keys under which the candidate counts."""
    values = ((per, candidate.key(per)) for per in pers)
    return {per: key_of(owner_id, per, value) for per, value in values if value is not None}


def totals_of(candidates: Iterable[tuple[ScreenedPayment, Mapping[Per, Key]]]) -> dict[Key, Tally]:
    """Return the counters that these candidates alone would make."""
    tallies: dict[Key, Tally] = {}
    for candidate, keys in candidates:
        for key in keys.values():
            tallies.setdefault(key, Tally()).add(candidate.at, candidate.currency, candidate.amount_minor)
    return tallies


class Look(NamedTuple):
    """A window to look up in the stored points: of this key, ending at this moment."""

    key: Key
    at: datetime
    window_seconds: int


def looks_of(
    candidates: Sequence[tuple[ScreenedPayment, Mapping[Per, Key]]], windows: Mapping[UUID, Sequence[Window]]
) -> list[Look]:
    """Return the windows to look up for the candidates, each once; `windows` are those of each merchant."""
    looks = (
        Look(keys[window.per], candidate.at, window.seconds)
        for candidate, keys in candidates
        for window in windows[candidate.merchant_id]
        if window.per in keys
    )
    return list(dict.fromkeys(looks))


def count(
    candidate: ScreenedPayment,
    keys: Mapping[Per, Key],
    windows: Sequence[Window],
    tallies: Mapping[Key, Tally],
    stored: Mapping[Look, Point],
) -> dict[Window, Count]:
    """Return what each window holds before the candidate, and count the candidate in."""
    counts = {}
    for window in windows:
        if window.per in keys:
            key = keys[window.per]
            point = stored.get(Look(key, candidate.at, window.seconds))
            counts[window] = tallies[key].within(candidate.at, window.seconds, point, candidate.currency)
    for key in keys.values():
        tallies[key].add(candidate.at, candidate.currency, candidate.amount_minor)
    return counts
