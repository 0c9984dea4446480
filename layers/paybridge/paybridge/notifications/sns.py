"""SMS by Amazon SNS."""

from __future__ import annotations

from typing import Any

from paybridge.notifications.clients import LazyClient
from paybridge.notifications.domain.answers import Answer

# The number takes no SMS, or is none.
_PERMANENT = frozenset({"InvalidParameter", "InvalidParameterValue", "OptedOut"})
_SMS_TYPE, _SENDER_ID = "AWS.SNS.SMS.SMSType", "AWS.SNS.SMS.SenderID"


class SnsSmsSender:
    """SmsSender by Amazon SNS. Countries that allow it show `sender_id`, if there is one."""

    def __init__(self, sender_id: str) -> None:
        self._client = LazyClient("sns")
        # Without a type SNS sends by the cheapest way, which may be late.
        attributes = {_SMS_TYPE: "Transactional"} | ({_SENDER_ID: sender_id} if sender_id else {})
        self._attributes = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}

    def send(self, contact: str, text: str) -> Answer:
        """Send the text to the number."""
        from paybridge.notifications.aws import answer_of

        def publish(client: Any) -> dict[str, str]:
            answer: dict[str, str] = client.publish(
                PhoneNumber=contact, Message=text, MessageAttributes=self._attributes
            )
            return answer

        return answer_of(self._client.get, publish, _PERMANENT)
