"""What a check of an invariant has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether an invariant holds, how many items were looked at, and the first that breaks it.

    `holds` is None for what could not be checked; `detail` says why.
    """

    holds: bool | None
    checked: int
    detail: str = ""

    def view(self, check: str) -> dict[str, Any]:
        """Return the finding of this check as operators see it, JSON-ready."""
        return {"check": check, "holds": self.holds, "checked": self.checked, "detail": self.detail or None}
