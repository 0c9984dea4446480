"""The consumer's part of the composition root."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.operation import DEFAULT_GATEWAY
from paybridge.payments.domain.pace import HORIZON_SECONDS
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.records import EngineServices

# On top of the gateway's deadline: the wait that a pace asks for, and the look-ups before and after the call. An older
# attempt's process is dead.
LEASE_MARGIN_SECONDS = 6.0 + HORIZON_SECONDS


@cache
def gateway() -> HttpGateway:
    """Return the payment gateway. Use it only in coroutines given to `wiring.run`."""
    settings = wiring.environment()
    return HttpGateway(settings.GATEWAY_URL, settings.GATEWAY_TIMEOUT_SECONDS)


def engine_services() -> EngineServices:
    """Return what charging a batch needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return EngineServices(
        database=wiring.database(),
        gateways={DEFAULT_GATEWAY: gateway()},
        clock=wiring.clock(),
        ids=wiring.ids(),
        schedule=Schedule(settings.GATEWAY_RETRY_DELAYS_SECONDS, settings.GATEWAY_PENDING_DELAYS_SECONDS),
        late_charge_ages_seconds=settings.LATE_CHARGE_AGES_SECONDS,
        lease_seconds=settings.GATEWAY_TIMEOUT_SECONDS + LEASE_MARGIN_SECONDS,
        authorization_seconds=settings.AUTHORIZATION_SECONDS,
        circuit_policy=CircuitPolicy(settings.CIRCUIT_FAILURE_THRESHOLD, settings.CIRCUIT_COOLDOWN_SECONDS),
    )
