"""The bridge's part of the composition root."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.bridge.event_bridge import EventBridgeBus
from paybridge.bridge.ports import BridgeServices, EventBus
from paybridge.bridge.send import CALLS_MAX


@cache
def event_bus(name: str) -> EventBus:
    """Return the bus, whose client is made with the first call."""
    return EventBridgeBus(name, CALLS_MAX)


def services() -> BridgeServices:
    """Return what the bridge needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return BridgeServices(
        database=wiring.database(),
        clock=wiring.clock(),
        ids=wiring.ids(),
        bus=event_bus(settings.EVENT_BUS),
        retry_delays_seconds=settings.BRIDGE_RETRY_DELAYS_SECONDS,
    )
