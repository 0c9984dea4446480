"""How long a run may go on."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the machine's steady clock. Slices are short, so a run ends soon after it."""

    ends_at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline so many seconds from now."""
        return cls(time.monotonic() + seconds)

    def is_over(self) -> bool:
        """Tell whether no slice may begin any more."""
        return time.monotonic() >= self.ends_at
