"""What finding callers needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from paybridge.access.domain.caller import Principal
from paybridge.access.domain.rate_limit import RateLimit


@dataclass(frozen=True, slots=True)
class LimitedBucket:
    """The bucket of a key or a merchant. `name` is how the headers of answers call it.

    `group` is the same for all buckets that tokens are taken from together, whichever of them have limits.
    """

    name: str
    subject: UUID
    limit: RateLimit
    group: UUID


@dataclass(frozen=True, slots=True)
class TakenTokens:
    """How many tokens every bucket has given, and what is left in each, in the order of the buckets."""

    granted: int
    left: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class AdmittedCaller:
    """A caller, the buckets that limit it, and what they have given; `taken` is None if nothing was taken."""

    principal: Principal
    buckets: tuple[LimitedBucket, ...] = ()
    taken: TakenTokens | None = None


class TokenBuckets(Protocol):
    """Buckets outside the database."""

    def take(self, buckets: Sequence[LimitedBucket], wanted: int) -> TakenTokens:
        """Take up to `wanted` tokens, the same number from each bucket. Raises LimiterUnavailable."""
        ...
