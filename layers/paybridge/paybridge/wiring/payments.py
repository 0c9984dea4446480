"""The consumer's part of the composition root."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, STRIPE_GATEWAY
from paybridge.payments.domain.pace import HORIZON_SECONDS
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.ports import PaymentGateway, StatementSource
from paybridge.payments.records import EngineServices

if TYPE_CHECKING:
    from paybridge.payments.gateways.stripe import StripeGateway

# On top of the gateway's deadline: the wait that a pace asks for, and the look-ups before and after the call. An older
# attempt's process is dead.
LEASE_MARGIN_SECONDS = 6.0 + HORIZON_SECONDS
# Stripe's two look-ups may take 4 s longer than those of the gateway `default`.
STRIPE_LEASE_MARGIN_SECONDS = LEASE_MARGIN_SECONDS + 4.0


def gateways() -> Mapping[str, PaymentGateway]:
    """Return the gateways that are configured, by name. Use them only in coroutines given to `wiring.run`."""
    known: dict[str, PaymentGateway] = {DEFAULT_GATEWAY: gateway()}
    stripe = stripe_gateway()
    if stripe is not None:
        known[STRIPE_GATEWAY] = stripe
    return known


def statement_sources() -> Mapping[str, StatementSource]:
    """Return the gateways whose statements can be read, by name. Use them only in coroutines given to `wiring.run`."""
    known: dict[str, StatementSource] = {DEFAULT_GATEWAY: gateway()}
    stripe = stripe_gateway()
    if stripe is not None:
        known[STRIPE_GATEWAY] = stripe
    return known


@cache
def gateway() -> HttpGateway:
    """Return the gateway `default`."""
    settings = wiring.environment()
    return HttpGateway(settings.GATEWAY_URL, settings.GATEWAY_TIMEOUT_SECONDS)


@cache
def stripe_gateway() -> StripeGateway | None:
    """Return the gateway `stripe`, None where no secret names an account. Reads no secret yet."""
    settings = wiring.environment()
    url, secret_id = settings.STRIPE_URL, settings.STRIPE_SECRET_ID
    if not secret_id:
        return None
    # The client takes a tenth of a second to import.
    from paybridge.payments.gateways.stripe import StripeGateway
    from paybridge.secrets.api_key import ApiKeyReader

    return StripeGateway(url, ApiKeyReader(secret_id), settings.GATEWAY_TIMEOUT_SECONDS)


def engine_services() -> EngineServices:
    """Return what charging a batch needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    known = gateways()
    margin_seconds = STRIPE_LEASE_MARGIN_SECONDS if STRIPE_GATEWAY in known else LEASE_MARGIN_SECONDS
    return EngineServices(
        database=wiring.database(),
        gateways=known,
        clock=wiring.clock(),
        ids=wiring.ids(),
        schedule=Schedule(settings.GATEWAY_RETRY_DELAYS_SECONDS, settings.GATEWAY_PENDING_DELAYS_SECONDS),
        late_charge_ages_seconds=settings.LATE_CHARGE_AGES_SECONDS,
        refund_check_ages_seconds=settings.REFUND_CHECK_AGES_SECONDS,
        lease_seconds=settings.GATEWAY_TIMEOUT_SECONDS + margin_seconds,
        authorization_seconds=settings.AUTHORIZATION_SECONDS,
        review_expiry_seconds=settings.REVIEW_EXPIRY_SECONDS,
        circuit_policy=CircuitPolicy(settings.CIRCUIT_FAILURE_THRESHOLD, settings.CIRCUIT_COOLDOWN_SECONDS),
    )
