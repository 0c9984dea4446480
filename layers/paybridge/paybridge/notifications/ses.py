"""E-mail by Amazon SES."""

from __future__ import annotations

from typing import Any

from paybridge.notifications.clients import LazyClient
from paybridge.notifications.domain.answers import Answer

# The request itself is malformed. A rejected message may pass later, such as once the sender is verified.
_PERMANENT = frozenset({"BadRequestException"})
_OUTAGES = frozenset({"AccountSuspendedException", "MailFromDomainNotVerifiedException", "SendingPausedException"})


class SesEmailSender:
    """EmailSender by version 2 of Amazon SES."""

    def __init__(self) -> None:
        self._client = LazyClient("sesv2")

    def send(self, sender: str, contact: str, message: bytes) -> Answer:
        """Send the message to the contact alone, whatever its headers say."""
        from paybridge.notifications.aws import answer_of

        def send_email(client: Any) -> dict[str, str]:
            answer: dict[str, str] = client.send_email(
                FromEmailAddress=sender,
                Destination={"ToAddresses": [contact]},
                Content={"Raw": {"Data": message}},
            )
            return answer

        return answer_of(self._client.get, send_email, _PERMANENT, _OUTAGES)
