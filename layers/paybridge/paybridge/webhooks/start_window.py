"""How long the attempts of a batch may still start."""

from __future__ import annotations

from collections.abc import Iterable

from paybridge.webhooks.attempts import SentAttempt
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.slow_receivers import is_prompt


class StartWindow:
    """Ends `start_seconds` after it began, and begins again with each `attempts_max` prompt answers.

    A batch of many deliveries to prompt receivers so takes the time that it needs, up to `start_seconds_max`. One that
    waits for slow receivers ends as early as if it were small. Times are of the event loop's clock.
    """

    def __init__(self, lane: Lane, begun_at: float) -> None:
        self.ends_at = begun_at + lane.start_seconds
        self._lane = lane
        self._ends_at_last = begun_at + lane.start_seconds_max
        self._prompt = 0

    def note(self, answers: Iterable[SentAttempt], now: float) -> None:
        """Count the prompt ones among these answers, which came by `now`. A window that has ended stays so."""
        if now >= self.ends_at:
            return
        self._prompt += sum(is_prompt(answer.result, self._lane) for answer in answers)
        if self._prompt >= self._lane.attempts_max:
            self._prompt = 0
            self.ends_at = min(now + self._lane.start_seconds, self._ends_at_last)
