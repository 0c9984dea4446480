"""Known callers and their leases: what this environment keeps between requests, so that few of them ask the database.

An answer about a caller is kept for KNOWN_SECONDS. A caller with a rate limit holds a lease of tokens besides: a
request takes one, and asks for more when none is left or the lease has ended. Without a limit nothing is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from paybridge.access.domain.rate_limit import BucketPlan, limit_field, next_wanted, plan_of, policy_field, wait_seconds
from paybridge.access.ports import AdmittedCaller, TakenTokens
from paybridge.core.errors import LimiterUnavailable

# Seconds that a revoked key keeps working in an environment, and that a new key may be refused. A revocation has to be
# effective within 5 s everywhere.
KNOWN_SECONDS = 4.0
UNKNOWN_SECONDS = 3.0
CACHE_KEYS_MAX = 1024
# A lease whose answer took longer than its life is dead on arrival. More tries find the database as slow.
LEASE_TRIES_MAX = 3

Admit = Callable[[int], AdmittedCaller | None]
TakeMore = Callable[[AdmittedCaller, int], TakenTokens | None]


class LimitReached(Exception):
    """The caller has used up its limit. `wait_seconds` is until there is a token again."""

    def __init__(self, wait_seconds: float, headers: dict[str, str]) -> None:
        super().__init__()
        self.wait_seconds = wait_seconds
        self.headers = headers


@dataclass(slots=True)
class KnownCaller:
    """What is known of a caller. Times are of the monotonic clock; `caller` is None for a key that is unknown."""

    caller: AdmittedCaller | None
    known_until: float
    plans: tuple[BucketPlan, ...] = ()
    wanted: int = 1
    tokens: int = 0
    lease_ends_at: float = 0.0
    refused_until: float = 0.0
    left: tuple[float, ...] = field(default=())


class KnownCallers:
    """The callers that this environment has seen lately. `monotonic` is a clock in seconds."""

    def __init__(self, monotonic: Callable[[], float], take_more: TakeMore) -> None:
        self._monotonic = monotonic
        self._take_more = take_more
        self._known: dict[object, KnownCaller] = {}

    def admit(self, key: object, admit: Admit) -> KnownCaller:
        """Return what is known of the caller under this key, with one token taken if it has a limit.

        `admit` asks for the caller and up to so many tokens. Raises LimitReached, and what `admit` raises.
        """
        known = self._known.get(key)
        now = self._monotonic()
        if known is None or known.known_until <= now:
            known = self._ask(key, known, admit)
        if not known.plans:
            return known
        return self._spend(key, known, admit)

    def __len__(self) -> int:
        """Return how many callers are known, or known to be unknown."""
        return len(self._known)

    def _spend(self, key: object, known: KnownCaller, admit: Admit) -> KnownCaller:
        for _ in range(LEASE_TRIES_MAX):
            now = self._monotonic()
            if known.tokens > 0 and now < known.lease_ends_at:
                known.tokens -= 1
                return known
            if now < known.refused_until:
                raise LimitReached(known.refused_until - now, limit_headers(known))
            known = self._lease(key, known, admit)
            if not known.plans:
                return known
        raise LimiterUnavailable("Tokens of the rate limit arrive too late.")

    def _lease(self, key: object, known: KnownCaller, admit: Admit) -> KnownCaller:
        """Ask for tokens again: for twice as many as before if those were used up in time."""
        asked_at = self._monotonic()
        is_used_up = known.tokens == 0 and asked_at < known.lease_ends_at
        known.wanted = next_wanted(known.wanted, known.plans) if is_used_up else 1
        if known.caller is not None:
            taken = self._take_more(known.caller, known.wanted)
            if taken is not None:
                _note(known, taken, asked_at, self._monotonic())
                return known
        return self._ask(key, known, admit)

    def _ask(self, key: object, before: KnownCaller | None, admit: Admit) -> KnownCaller:
        asked_at = self._monotonic()
        wanted = 1 if before is None else before.wanted
        caller = admit(wanted)
        known = KnownCaller(caller, asked_at + (KNOWN_SECONDS if caller else UNKNOWN_SECONDS), wanted=wanted)
        if caller is not None and caller.buckets:
            known.plans = tuple(plan_of(bucket.limit) for bucket in caller.buckets)
            if caller.taken is not None:
                _note(known, caller.taken, asked_at, self._monotonic())
        self._keep(key, known)
        return known

    def _keep(self, key: object, known: KnownCaller) -> None:
        self._known.pop(key, None)
        if len(self._known) >= CACHE_KEYS_MAX:
            # A dict keeps the order of insertion, so the first key is the one looked up the longest time ago.
            del self._known[next(iter(self._known))]
        self._known[key] = known


def limit_headers(known: KnownCaller) -> dict[str, str]:
    """Return the headers that tell a caller its limits and what is left of them."""
    if known.caller is None:
        return {}
    buckets = known.caller.buckets
    left = [tokens + known.tokens for tokens in known.left]
    return {
        "RateLimit-Policy": ", ".join(policy_field(bucket.name, bucket.limit) for bucket in buckets),
        "RateLimit": ", ".join(
            limit_field(bucket.name, tokens, plan)
            for bucket, tokens, plan in zip(buckets, left, known.plans, strict=True)
        ),
    }


def retry_after(wait: float) -> str:
    """Return the header `Retry-After`: whole seconds, rounded up."""
    return str(max(1, math.ceil(wait)))


def _note(known: KnownCaller, taken: TakenTokens, asked_at: float, now: float) -> None:
    """Note what a lease holds. It ages from before it was asked for, because its tokens were taken after that."""
    known.tokens, known.left = taken.granted, taken.left
    known.lease_ends_at = asked_at + min(plan.lease_seconds for plan in known.plans)
    waits = [wait_seconds(tokens, plan) for tokens, plan in zip(taken.left, known.plans, strict=True)]
    known.refused_until = 0.0 if taken.granted else now + max(waits)
