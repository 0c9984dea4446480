"""The intake function's part of the composition root."""

from __future__ import annotations

from paybridge import wiring
from paybridge.intake.accept import IntakeServices
from paybridge.intake.read_message import ReadingRules


def services() -> IntakeServices:
    """Return what accepting a batch needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    rules = ReadingRules(settings.WEBHOOK_LOCAL_NETWORKS, settings.INTAKE_DEMO_MERCHANT_ID)
    return IntakeServices(wiring.database(), wiring.clock(), wiring.ids(), rules)
