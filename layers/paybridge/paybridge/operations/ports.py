"""What the measurements need from the broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class QueueDepths(Protocol):
    """Knows how much waits in the broker's queues."""

    async def read(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each queue, without those that somebody is working on.

        A queue that is not there is left out. Raises BrokerUnavailable.
        """
        ...
