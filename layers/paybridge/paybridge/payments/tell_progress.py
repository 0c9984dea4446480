"""Tell the webhook endpoints of payments that are on their way, for merchants that follow them.

No other webhook carries these events (docs/decisions/0035-webhooks-for-outcomes.md), so they are not published. A
merchant that follows them has a command for each, by which the webhooks function finds the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from paybridge.core.events import Event
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.outbox.routes import WEBHOOKS_KEY
from paybridge.payments.domain.events import deliver_event_command
from paybridge.payments.records import EngineServices
from paybridge.payments.store import operations
from paybridge.payments.store.operations import MerchantChoice


def tell_progress(
    services: EngineServices,
    transaction: Transaction,
    processing: Sequence[Event],
    choices: Mapping[UUID, MerchantChoice],
    now: datetime,
) -> None:
    """Write the commands for the events `payment.created` and `payment.processing` of payments that have begun.

    `processing` are the latter. Delivering an event a second time changes nothing.
    """
    followed = {
        event.payment_id: event
        for event in processing
        if event.payment_id is not None and event.merchant_id in choices and choices[event.merchant_id].follows_progress
    }
    if not followed:
        return
    created = operations.find_created_events(transaction, followed)
    commands = [
        (deliver_event_command(services.ids.new(), event, event_id, now), 0.0)
        for payment_id, event in followed.items()
        for event_id in (created.get(payment_id), event.id)
        if event_id is not None
    ]
    outbox.add_delayed(transaction, commands, routing_key=WEBHOOKS_KEY, is_counted=False)
