"""Tell the webhook endpoints of payments that are on their way, for merchants that follow them.

No other webhook carries these events (docs/decisions/0035-webhooks-for-outcomes.md), so they are not published. A
merchant that follows them has a command for each, by which the webhooks function finds the event.

Whatever moves a payment on from `pending`, such as its charge, a fraud rule or its cancellation, writes its event by
`add_steps` or asks `created_command`, and so sends `payment.created` once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.core.events import PAYMENT_PROCESSING, Event
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.outbox.routes import WEBHOOKS_KEY
from paybridge.payments.domain.events import deliver_event_command, payment_event
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.store import progress
from paybridge.payments.store.operations import MerchantChoice


class PaymentStep(NamedTuple):
    """A change of a payment's state: the status before, and the event for the state after."""

    before: Status
    payment_id: UUID
    event: Event


def step_of(ids: Ids, before: Payment, after: Payment, type_: str, now: datetime) -> PaymentStep:
    """Return the step of a payment to its new state, with an event of that type."""
    return PaymentStep(before.status, after.id, payment_event(ids.new(), type_, after, now))


def add_steps(
    transaction: Transaction,
    ids: Ids,
    steps: Sequence[PaymentStep],
    choices: Mapping[UUID, MerchantChoice],
    now: datetime,
) -> None:
    """Write the events of the steps, and for merchants that follow progress the commands to send it.

    Those are for `payment.created` when a payment leaves `pending`, and for each `payment.processing`. `choices` are
    those of the merchants, by which nothing is looked up for a merchant that does not follow. Delivering an event a
    second time changes nothing.
    """
    outbox.add(transaction, [step.event for step in steps])
    if not any(choice.follows_progress for choice in choices.values()):
        return
    followed = [step for step in steps if _is_followed(step.event, choices)]
    leaving = [step.payment_id for step in followed if step.before is Status.PENDING]
    created = progress.find_created(transaction, leaving) if leaving else {}
    commands = [
        (deliver_event_command(ids.new(), step.event, event_id, now), 0.0)
        for step in followed
        for event_id in _event_ids(step, created)
    ]
    outbox.add_delayed(transaction, commands, routing_key=WEBHOOKS_KEY, is_counted=False)


def created_command(database: Database, ids: Ids, step: PaymentStep, now: datetime) -> Event | None:
    """Return the command to send `payment.created` with this step; None if its merchant does not follow progress.

    This is for a step that one statement writes with all that goes with it. Raises DatabaseUnavailable.
    """
    event = step.event
    if step.before is not Status.PENDING:
        return None
    created = progress.find_followed(database, event.merchant_id, step.payment_id)
    return None if created is None else deliver_event_command(ids.new(), event, created, now)


def _is_followed(event: Event, choices: Mapping[UUID, MerchantChoice]) -> bool:
    return event.merchant_id in choices and choices[event.merchant_id].follows_progress


def _event_ids(step: PaymentStep, created: Mapping[UUID, UUID]) -> Iterable[UUID]:
    """Return the ids of the events to send with the step, in their order."""
    if step.before is Status.PENDING and step.payment_id in created:
        yield created[step.payment_id]
    if step.event.type == PAYMENT_PROCESSING:
        yield step.event.id
