"""The part of the composition root for dead letters."""

from __future__ import annotations

from paybridge import wiring
from paybridge.dead_letters.ports import DeadLetterServices


def services() -> DeadLetterServices:
    """Return what the use cases need. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    return DeadLetterServices(wiring.database(), wiring.clock(), wiring.ids())
