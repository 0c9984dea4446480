"""The command to send an event to the bus again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import BRIDGE_EVENT, Event


def bridge_event(id_: UUID, event: Event, body: str, attempt: int, now: datetime) -> Event:
    """Return the command for the event whose message had this body. `attempt` counts from 1.

    It has no `payment_id`: a command of a payment tells the search for stalled payments that the payment goes on.
    """
    return Event(
        id=id_,
        type=BRIDGE_EVENT,
        payment_id=None,
        merchant_id=event.merchant_id,
        correlation_id=event.correlation_id,
        time=now,
        # The text and no object, because what is parsed and written again may differ in white space and numbers.
        data={"attempt": attempt, "event": body},
        subject_type=event.subject_type,
        subject_id=event.subject_id or event.payment_id,
    )


def repeated_event(command: Event) -> tuple[int, str]:
    """Return the attempt that the command asks for and the body of the event. Raises MalformedMessage."""
    attempt, body = command.data.get("attempt"), command.data.get("event")
    if not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1 or not isinstance(body, str):
        raise MalformedMessage("the command carries no event")
    return attempt, body
