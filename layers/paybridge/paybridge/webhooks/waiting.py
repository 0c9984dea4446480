"""The attempts of a batch that wait for their turn, within the limits of a lane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from paybridge.webhooks.delivering import Attempt, Lane
from paybridge.webhooks.store.deliveries import Receiver


class Waiting:
    """Hands out attempts so that no merchant and no receiver has more under way than the lane allows."""

    def __init__(self, attempts: Iterable[Attempt], lane: Lane) -> None:
        self._attempts = list(attempts)
        self._lane = lane
        self._merchants: Counter[UUID] = Counter()
        self._receivers: Counter[Receiver] = Counter()

    def take(self) -> list[Attempt]:
        """Removes and returns every attempt that may begin now; each is to be released when it has ended."""
        taken: list[Attempt] = []
        left: list[Attempt] = []
        for attempt in self._attempts:
            (taken if self._claim(attempt) else left).append(attempt)
        self._attempts = left
        return taken

    def take_all(self) -> list[Attempt]:
        """Removes and returns whatever still waits."""
        left, self._attempts = self._attempts, []
        return left

    def release(self, attempt: Attempt) -> None:
        """Frees the place of an attempt that has ended."""
        self._merchants[attempt.receiver[0]] -= 1
        self._receivers[attempt.receiver] -= 1

    def _claim(self, attempt: Attempt) -> bool:
        lane, merchant_id = self._lane, attempt.receiver[0]
        if self._merchants.total() >= lane.attempts_max:
            return False
        if self._merchants[merchant_id] >= lane.merchant_attempts_max:
            return False
        if self._receivers[attempt.receiver] >= lane.receiver_attempts_max:
            return False
        self._merchants[merchant_id] += 1
        self._receivers[attempt.receiver] += 1
        return True
