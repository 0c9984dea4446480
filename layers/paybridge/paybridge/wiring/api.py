"""The API's part of the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paybridge import wiring
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.operations.readiness import BrokerProbe
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, STRIPE_GATEWAY
from paybridge.rabbitmq.probe import AmqpProbe
from paybridge.webhooks.domain.address import IpNetwork

if TYPE_CHECKING:
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
        gateway_names=frozenset({DEFAULT_GATEWAY, *([STRIPE_GATEWAY] if settings.STRIPE_SECRET_ID else [])}),
        find_notice_reader=_find_notice_reader,
    )


def _find_notice_reader(gateway: str) -> NoticeReader | None:
    # Few environments ever get a notice, so a cold start does not load what reads them.
    from paybridge.wiring.notices import notice_readers

    return notice_readers().get(gateway)
