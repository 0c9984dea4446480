"""The notifier's part of the composition root."""

from __future__ import annotations

from functools import cache

from paybridge import wiring
from paybridge.notifications.ports import EmailSender, NotificationServices, SmsSender
from paybridge.notifications.ses import SesEmailSender
from paybridge.notifications.sns import SnsSmsSender


@cache
def email_sender() -> EmailSender:
    """Return the sender of e-mails, whose client is made with the first of them."""
    return SesEmailSender()


@cache
def sms_sender(sender_id: str) -> SmsSender:
    """Return the sender of SMS, whose client is made with the first of them."""
    return SnsSmsSender(sender_id)


def services() -> NotificationServices:
    """Return what notifying needs. Opens no connection. Raises SettingsInvalid and SecretUnavailable."""
    settings = wiring.environment()
    is_sms_on = settings.NOTIFICATION_SMS == "on"
    return NotificationServices(
        database=wiring.database(),
        clock=wiring.clock(),
        ids=wiring.ids(),
        email=email_sender() if settings.NOTIFICATION_SENDER else None,
        sender_address=settings.NOTIFICATION_SENDER,
        sms=sms_sender(settings.NOTIFICATION_SMS_SENDER_ID) if is_sms_on else None,
        retry_delays_seconds=settings.NOTIFICATION_RETRY_DELAYS_SECONDS,
    )
