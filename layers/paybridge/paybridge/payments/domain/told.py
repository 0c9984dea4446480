"""Explain what a payment's contacts were told, and why."""

from __future__ import annotations

from collections.abc import Sequence

from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.domain.timeline import NOTIFICATION_SCHEDULED

# The timeline has all of them.
EXPLAINED_MAX = 4
_NOUNS = {"email": "e-mail", "sms": "SMS"}


def explain_notifications(timeline: Sequence[TimelineEntry]) -> list[str]:
    """Return a sentence for each of the newest notifications: event, contact, choice and state."""
    scheduled = {entry.details["notification_id"]: entry for entry in timeline if entry.type == NOTIFICATION_SCHEDULED}
    newest = {entry.details["notification_id"]: entry for entry in timeline if entry.type.startswith("notification.")}
    return [_sentence(scheduled[id_], newest[id_]) for id_ in [*scheduled][-EXPLAINED_MAX:]]


def _sentence(scheduled: TimelineEntry, newest: TimelineEntry) -> str:
    what = scheduled.details
    noun = _NOUNS.get(what["channel"], what["channel"])
    return (
        f"The {noun} about {what['event_type']} to {what['contact']}, chosen by the pattern {what['pattern']}, "
        f"{_state(newest)}."
    )


def _state(entry: TimelineEntry) -> str:
    details, at = entry.details, f"{entry.at:%Y-%m-%d %H:%M:%S} UTC"
    match entry.type:
        case "notification.sent":
            return f"was sent {at}; the provider calls it {details['provider_message_id']}"
        case "notification.attempt_started":
            return f"is being sent since {at}"
        case "notification.attempt_failed":
            return f"was not sent at attempt {details['number']} ({details['error']}) and is tried again"
        case "notification.failed":
            return f"was given up {at} after {details['number']} attempts ({details['error']})"
        case "notification.unclear":
            return f"may have been sent ({details['error']}, {at}) and is not repeated"
        case _:
            return "waits to be sent"
