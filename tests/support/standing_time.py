"""A time that stands still, in place of the module `time`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StandingTime:
    """Moves on by the pauses alone, which it keeps."""

    pauses: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """In place of `asyncio.sleep`."""
        self.sleep(seconds)
