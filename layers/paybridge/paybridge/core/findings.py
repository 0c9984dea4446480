"""What a check of an invariant has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Enough to see whether they have one cause.
NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether an invariant holds, how many items were looked at, and the first that break it.

    `holds` is None for what could not be checked; `detail` says why.
    """

    holds: bool | None
    checked: int
    detail: str = ""

    def view(self, check: str) -> dict[str, Any]:
        """Return the finding of this check as operators see it, JSON-ready."""
        return {"check": check, "holds": self.holds, "checked": self.checked, "detail": self.detail or None}


def finding_of(checked: int, faults: Sequence[str]) -> Finding:
    """Return the finding of a check that looked at every item: it names the first faults and counts the others."""
    others = len(faults) - NAMED_MAX
    named = [*faults[:NAMED_MAX], *([f"and {others} more"] if others > 0 else [])]
    return Finding(not faults, checked, "; ".join(named))
