"""What the measurements need from the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class QueueDepths(Protocol):
    """Reads the depths of the broker's queues."""

    async def read(self, queues: Sequence[str]) -> dict[str, int]:
        """Return the number of ready messages in each queue, without those in flight.

        A missing queue is left out. Raises BrokerUnavailable.
        """
        ...
