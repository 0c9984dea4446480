"""How many requests a key or a merchant may make."""

from __future__ import annotations

from dataclasses import dataclass

PER_SECOND_MAX = 100_000
BURST_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: at most `burst` + `per_second` * T requests in any T seconds. Both are whole and above 0."""

    per_second: int
    burst: int

    def view(self) -> dict[str, int]:
        """Return the limit as answers show it."""
        return {"per_second": self.per_second, "burst": self.burst}
