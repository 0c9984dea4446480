"""The relay's part of the composition root."""

from __future__ import annotations

from collections.abc import Callable

from paybridge import wiring
from paybridge.dead_letters.republish import DeadLetterRedrives
from paybridge.outbox.drain import Drain, DrainObserver
from paybridge.replay.publish import EventReplays
from paybridge.wiring import broker


def draining(remaining_seconds: Callable[[], float], observer: DrainObserver) -> Drain:
    """Return what draining the outbox needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return Drain(
        database=wiring.database(),
        open_publisher=broker.open_publisher,
        batch_rows=settings.RELAY_BATCH_ROWS,
        idle_poll_seconds_max=settings.RELAY_IDLE_POLL_SECONDS_MAX,
        remaining_seconds=remaining_seconds,
        observer=observer,
        redrives=DeadLetterRedrives(),
        replays=EventReplays(wiring.clock()),
    )
