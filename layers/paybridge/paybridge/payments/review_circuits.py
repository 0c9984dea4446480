"""Tell whether a gateway's circuit is open, and forget circuits that nothing has touched for a while."""

from __future__ import annotations

from datetime import timedelta

from paybridge.core.clock import Clock
from paybridge.database.database import Database
from paybridge.payments.domain.circuit import gateway_circuit
from paybridge.payments.domain.operation import GATEWAYS
from paybridge.payments.store import circuits

# Payment methods that failed once are many. What still fails is written again in each cooldown.
FORGOTTEN_AFTER = timedelta(minutes=15)


def review_circuits(database: Database, clock: Clock) -> bool:
    """Forget old circuits and return whether that of a gateway is open or half-open. Raises DatabaseUnavailable."""
    circuits.forget(database, clock.now() - FORGOTTEN_AFTER)
    gateways = circuits.read(database, map(gateway_circuit, GATEWAYS))
    return any(gateway.circuit.open_until is not None for gateway in gateways.values())
