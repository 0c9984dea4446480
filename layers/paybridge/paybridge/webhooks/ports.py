"""What delivering webhooks needs from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.webhooks.domain.webhook import SendResult


class WebhookSender(Protocol):
    """Sends one HTTP request to an address that a merchant chose."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """POST the body; the deadline covers everything from resolving to reading. Never raises for a receiver."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookServices:
    """Everything that delivering needs. `retry_delays_seconds` are the waits between the attempts of a delivery."""

    database: Database
    sender: WebhookSender
    clock: Clock
    ids: Ids
    retry_delays_seconds: tuple[float, ...]
