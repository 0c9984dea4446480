"""The attempts of a batch that have not started yet, and the limits of the lane."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from paybridge.webhooks.attempts import DeliveryAttempt
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.store.receivers import Receiver


class AttemptQueue:
    """Hands out attempts so that no merchant and no receiver has more running than the lane allows."""

    def __init__(self, attempts: Iterable[DeliveryAttempt], lane: Lane) -> None:
        self._attempts = list(attempts)
        self._lane = lane
        self._running = 0
        self._merchants: Counter[UUID] = Counter()
        self._receivers: Counter[Receiver] = Counter()

    def take(self) -> list[DeliveryAttempt]:
        """Remove and return every attempt that may start now; release each of them when it has ended."""
        taken: list[DeliveryAttempt] = []
        left: list[DeliveryAttempt] = []
        for place, attempt in enumerate(self._attempts):
            if self._running >= self._lane.attempts_max:
                # Looking at those behind, of which there may be thousands, would find none that may start.
                left += self._attempts[place:]
                break
            (taken if self._claim(attempt) else left).append(attempt)
        self._attempts = left
        return taken

    def take_all(self) -> list[DeliveryAttempt]:
        """Remove and return every attempt that is left, regardless of the limits."""
        left, self._attempts = self._attempts, []
        return left

    def release(self, attempt: DeliveryAttempt) -> None:
        """Free the place of an attempt that has ended."""
        self._running -= 1
        self._merchants[attempt.receiver.merchant_id] -= 1
        self._receivers[attempt.receiver] -= 1

    def _claim(self, attempt: DeliveryAttempt) -> bool:
        lane, merchant_id = self._lane, attempt.receiver.merchant_id
        if self._merchants[merchant_id] >= lane.merchant_attempts_max:
            return False
        if self._receivers[attempt.receiver] >= lane.receiver_attempts_max:
            return False
        self._running += 1
        self._merchants[merchant_id] += 1
        self._receivers[attempt.receiver] += 1
        return True
