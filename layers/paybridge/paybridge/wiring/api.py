"""The API's part of the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.access.identify import CallerDirectory
from paybridge.access.ports import TokenBuckets
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.operations.readiness import BrokerProbe
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, STRIPE_GATEWAY
from paybridge.rabbitmq.probe import AmqpProbe
from paybridge.secrets.ports import CURRENT
from paybridge.secrets.secrets_manager import SecretsManager
from paybridge.webhooks.domain.address import IpNetwork

if TYPE_CHECKING:
    from paybridge.access.tokens import TokenVerifier
    from paybridge.wiring.notices import NoticeReader

# A caller waits for 29 s at most. A database that hangs must leave time for an honest 503.
STATEMENT_SECONDS_MAX = 6.0
# The environment's name on the local stack.
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class ApiServices:
    """What the routes work with."""

    database: Database
    clock: Clock
    ids: Ids
    broker: BrokerProbe
    local_webhook_networks: tuple[IpNetwork, ...]
    # How many requests, over all environments, may wait for a payment at once.
    waits_max: int
    environment_name: str
    # Whether this is the local stack, whose keys are public.
    is_local: bool
    # What clients see before every path: the path of a custom domain or a stage, such as /payments/v1. Mostly empty.
    root_path: str
    # The digest of the deployed code and configuration, empty unless `make deploy` made it.
    release: str
    callers: CallerDirectory
    # Finds what verifies tokens, None if no issuer is set.
    find_token_verifier: Callable[[], TokenVerifier | None]
    # The gateways that merchants' payments may go to.
    gateway_names: frozenset[str]
    # Finds what verifies the notices of a gateway by its name, None if it sends none.
    find_notice_reader: Callable[[str], NoticeReader | None]


def api_services() -> ApiServices:
    """Return the services of this environment. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    return ApiServices(
        database=wiring.database(STATEMENT_SECONDS_MAX),
        clock=wiring.clock(),
        ids=wiring.ids(),
        # The probe greets the broker and never logs in, so it needs the address and no secret.
        broker=AmqpProbe(settings.BROKER_URL),
        local_webhook_networks=settings.WEBHOOK_LOCAL_NETWORKS,
        waits_max=settings.API_WAITS_MAX,
        environment_name=settings.ENVIRONMENT_NAME,
        is_local=settings.ENVIRONMENT_NAME == LOCAL,
        root_path=settings.API_ROOT_PATH,
        release=settings.RELEASE,
        callers=CallerDirectory(wiring.database(STATEMENT_SECONDS_MAX), _buckets()),
        find_token_verifier=_find_token_verifier,
        gateway_names=frozenset({DEFAULT_GATEWAY, *([STRIPE_GATEWAY] if settings.STRIPE_SECRET_ID else [])}),
        find_notice_reader=_find_notice_reader,
    )


def _buckets() -> TokenBuckets | None:
    settings = wiring.environment()
    url, secret_id = settings.VALKEY_URL, settings.VALKEY_SECRET_ID
    if not url:
        return None
    # Few deployments have a Valkey, so the others do not load its client.
    from paybridge.access.valkey import ValkeyBuckets

    return ValkeyBuckets(url, partial(_valkey_login, SecretsManager(), secret_id) if secret_id else None)


def _valkey_login(secrets: SecretsManager, secret_id: str) -> tuple[str, str]:
    login = secrets.read_login(secret_id, CURRENT)
    return login.username, login.password


def _find_token_verifier() -> TokenVerifier | None:
    if not wiring.environment().JWT_ISSUER:
        return None
    # What verifies tokens takes a while to load. Callers with API keys never need it.
    from paybridge.wiring.tokens import token_verifier

    return token_verifier()


def _find_notice_reader(gateway: str) -> NoticeReader | None:
    # Few environments ever get a notice, so a cold start does not load what reads them.
    from paybridge.wiring.notices import notice_readers

    return notice_readers().get(gateway)
