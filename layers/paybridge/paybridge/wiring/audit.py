"""The part of the composition root for audits of the outbox: each feature tells what it has seen."""

from __future__ import annotations

from functools import partial

from paybridge import wiring
from paybridge.audit.domain import Phase
from paybridge.audit.ports import AuditedConsumer, AuditServices
from paybridge.bridge.audit import find_missing_on_bus
from paybridge.core.clock import Clock
from paybridge.core.gaps import GapKind
from paybridge.database.database import Database
from paybridge.dead_letters.audit import find_dead_events
from paybridge.ledger.audit import audit_payouts, find_missing_journals
from paybridge.notifications.audit import find_missing_notifications
from paybridge.notifications.domain.notification import Channel
from paybridge.outbox.consumers import EVENT_CONSUMERS, expression_of
from paybridge.outbox.queues import BRIDGE_QUEUE, LEDGER_QUEUE, NOTIFICATIONS_QUEUE, WEBHOOK_QUEUES
from paybridge.payments.audit import audit_older_payments, audit_payments
from paybridge.webhooks.audit import audit_endpoints, find_missing_webhooks

SUBJECTS = {Phase.PAYMENTS: audit_payments, Phase.PAYOUTS: audit_payouts, Phase.ENDPOINTS: audit_endpoints}


def services_over(database: Database, clock: Clock, channels: frozenset[Channel]) -> AuditServices:
    """Return what an audit needs, over these adapters. `channels` are those by which notifications are sent."""
    find_notifications = partial(find_missing_notifications, channels=channels)
    consumers = [
        AuditedConsumer(GapKind.WEBHOOK_MISSING, WEBHOOK_QUEUES, _taken(WEBHOOK_QUEUES[0]), find_missing_webhooks),
        AuditedConsumer(
            GapKind.NOTIFICATION_MISSING, (NOTIFICATIONS_QUEUE,), _taken(NOTIFICATIONS_QUEUE), find_notifications
        ),
        AuditedConsumer(GapKind.JOURNAL_MISSING, (LEDGER_QUEUE,), _taken(LEDGER_QUEUE), find_missing_journals),
        AuditedConsumer(GapKind.BRIDGE_MISSING, (BRIDGE_QUEUE,), _taken(BRIDGE_QUEUE), find_missing_on_bus),
    ]
    return AuditServices(database, clock, SUBJECTS, audit_older_payments, find_dead_events, consumers)


def services(database: Database | None = None, clock: Clock | None = None) -> AuditServices:
    """Return what an audit needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    is_on = {Channel.EMAIL: bool(settings.NOTIFICATION_SENDER), Channel.SMS: settings.NOTIFICATION_SMS == "on"}
    channels = frozenset(channel for channel, on in is_on.items() if on)
    return services_over(database or wiring.database(), clock or wiring.clock(), channels)


def _taken(queue: str) -> str:
    return expression_of(EVENT_CONSUMERS[queue])
