"""How many requests a key or a merchant may make, exactly, however many environments take part.

An environment takes tokens from a shared bucket in leases and admits a request for each token. A lease lives for
`lease_seconds` from before it was asked for, and tokens that are left then are lost: to put them back would count them
twice. So what is admitted in any T seconds was taken in T + `lease_seconds`, which is at most
`capacity` + `refill_per_second` * (T + `lease_seconds`). With the numbers of `plan_of` this is never above
`burst` + `per_second` * T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PER_SECOND_MAX = 100_000
BURST_MAX = 1_000_000

LEASE_SECONDS_MAX = 1.0
# The answer of the database must arrive within the life of its lease.
LEASE_SECONDS_MIN = 0.05
# The part of the burst that leases may take from the capacity.
LEASED_PART = 0.25
# A lease is for what comes within a part of its life, so that few tokens are lost.
WANTED_PART = 0.25


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `burst` + `per_second` * T requests in any T seconds. Both are whole and above 0."""

    per_second: int
    burst: int

    def view(self) -> dict[str, int]:
        """Return the limit as answers show it."""
        return {"per_second": self.per_second, "burst": self.burst}


def stricter(one: RateLimit | None, other: RateLimit | None) -> RateLimit | None:
    """Return the limit that keeps both. None is no limit."""
    if one is None or other is None:
        return one or other
    return RateLimit(min(one.per_second, other.per_second), min(one.burst, other.burst))


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """How a limit is kept: the size of the bucket in tokens, its refill, and the life of a lease."""

    capacity: float
    refill_per_second: float
    lease_seconds: float

    @property
    def wanted_max(self) -> int:
        """Return the most tokens that a lease asks for."""
        return max(1, int(self.refill_per_second * self.lease_seconds * WANTED_PART))


def plan_of(limit: RateLimit) -> BucketPlan:
    """Return how the limit is kept. The SQL function `bucket_plan` computes the same.

    A burst below a fifth of the rate leaves no room for leases that live long enough. The bucket then holds a single
    token, and is refilled so much slower that two requests are never too close: with a refill of r / (1 + r * L) there
    are n / r + n * L seconds between n + 1 takings, and at least n / r between their admissions.
    """
    part_seconds = LEASED_PART * limit.burst / limit.per_second
    lease_seconds = min(LEASE_SECONDS_MAX, max(LEASE_SECONDS_MIN, part_seconds))
    capacity = limit.burst - limit.per_second * lease_seconds
    if capacity >= 1:
        return BucketPlan(capacity, float(limit.per_second), lease_seconds)
    return BucketPlan(1.0, limit.per_second / (1 + limit.per_second * LEASE_SECONDS_MIN), LEASE_SECONDS_MIN)


def next_wanted(previous: int, plans: tuple[BucketPlan, ...]) -> int:
    """Return how many tokens to ask for, after a lease of `previous` was used up while it lived: twice as many."""
    return max(1, min(previous * 2, *(plan.wanted_max for plan in plans)))


def wait_seconds(tokens: float, plan: BucketPlan) -> float:
    """Return the seconds until a bucket with so many tokens has one whole token."""
    return max(0.0, (1 - tokens) / plan.refill_per_second)


def policy_field(name: str, limit: RateLimit) -> str:
    """Return a member of the header `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): quota and window."""
    return f'"{name}";q={limit.burst};w={math.ceil(limit.burst / limit.per_second)}'


def limit_field(name: str, tokens: float, plan: BucketPlan) -> str:
    """Return a member of the header `RateLimit`: what is left, and the whole seconds until all of it is."""
    until_full_seconds = math.ceil((plan.capacity - tokens) / plan.refill_per_second)
    return f'"{name}";r={max(0, int(tokens))};t={max(0, until_full_seconds)}'
