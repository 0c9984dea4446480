"""The part of the composition root for replays."""

from __future__ import annotations

from paybridge import wiring
from paybridge.archive.away import ArchivedMonths
from paybridge.bridge.unseen import BridgeReplay
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.ledger.unseen import UnpostedEvents
from paybridge.notifications.unseen import UnseenNotifications
from paybridge.outbox.queues import BRIDGE_QUEUE, LEDGER_QUEUE, NOTIFICATIONS_QUEUE
from paybridge.outbox.routes import WEBHOOKS_KEY
from paybridge.replay.ports import Consumer, ReplayServices
from paybridge.webhooks.unseen import UnseenWebhooks


def services_over(database: Database, clock: Clock, ids: Ids) -> ReplayServices:
    """Return what the use cases need, over these adapters."""
    consumers: dict[str, Consumer] = {
        WEBHOOKS_KEY: UnseenWebhooks(),
        NOTIFICATIONS_QUEUE: UnseenNotifications(),
        BRIDGE_QUEUE: BridgeReplay(),
        LEDGER_QUEUE: UnpostedEvents(),
    }
    return ReplayServices(database, clock, ids, consumers, ArchivedMonths())


def services() -> ReplayServices:
    """Return what the use cases need. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    return services_over(wiring.database(), wiring.clock(), wiring.ids())
