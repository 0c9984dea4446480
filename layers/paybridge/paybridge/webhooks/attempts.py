"""An attempt at a delivery, and the changes to it that one transaction records."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.webhooks.domain.endpoint import EndpointStatus
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.store.attempts import AttemptKey
from paybridge.webhooks.store.deliveries import PendingDelivery
from paybridge.webhooks.store.receivers import Receiver


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt at a delivery. `has_record`: its receiver has failed or been slow before."""

    delivery: PendingDelivery
    number: int
    receiver: Receiver
    has_record: bool

    @property
    def key(self) -> AttemptKey:
        """Return what identifies the attempt in the database."""
        return AttemptKey(self.delivery.id, self.number)

    @property
    def scheduled_number(self) -> int:
        """Return the attempt's place in the retry schedule.

        Attempts interrupted by a crash, and those before a redelivery, take up no place.
        """
        return self.number - self.delivery.schedule_offset - self.delivery.interrupted


@dataclass(frozen=True, slots=True)
class StartingAttempt:
    """An attempt to start."""

    attempt: DeliveryAttempt


@dataclass(frozen=True, slots=True)
class PostponedAttempt:
    """An attempt that a command in the outbox makes later, on the slow lane."""

    attempt: DeliveryAttempt
    delay_seconds: float = 0.0

    @property
    def is_endpoint_disabled(self) -> bool:
        """Tell whether the endpoint was disabled when the delivery was looked at."""
        return self.attempt.delivery.endpoint_status == EndpointStatus.DISABLED


@dataclass(frozen=True, slots=True)
class SentAttempt:
    """An attempt that was sent, with the answer of the receiver or an error."""

    attempt: DeliveryAttempt
    result: SendResult


AttemptChange = StartingAttempt | PostponedAttempt | SentAttempt
