"""The e-mail and the SMS about the sample refund: from the payment's timeline, and as the AWS fake was given them."""

from __future__ import annotations

import email
from collections.abc import Iterable, Mapping
from email.header import decode_header, make_header
from typing import Any

import httpx

from paybridge.core.event_patterns import matches

Entry = Mapping[str, Any]

EVENT_TYPE = "refund.succeeded"
_NOUNS = {"email": "e-mail", "sms": "SMS"}


def is_chosen(merchant: Entry) -> bool:
    """Return whether a merchant, as the API shows it, gets e-mails or SMS about refunds."""
    return bool(merchant["email"] or merchant["phone"]) and matches(merchant["notify"], EVENT_TYPE)


def is_told(events: Iterable[Entry]) -> bool:
    """Return whether every e-mail and SMS about a refund that was scheduled has ended, and there is one."""
    about = [each for each in events if each["details"].get("event_type") == EVENT_TYPE]
    scheduled = {each["details"]["notification_id"] for each in about if each["type"] == "notification.scheduled"}
    ended = {
        each["details"]["notification_id"]
        for each in about
        if each["type"] in ("notification.sent", "notification.failed", "notification.unclear")
    }
    return bool(scheduled) and scheduled == ended


def render_notifications(events: Iterable[Entry], texts: Mapping[str, str]) -> str:
    """Return one line for each e-mail and SMS that was sent about a refund, and which choice asked for it.

    `texts` are what the AWS fake was given, by message id.
    """
    entries = [*events]
    patterns = {
        each["details"]["notification_id"]: each["details"]["pattern"]
        for each in entries
        if each["type"] == "notification.scheduled"
    }
    return "\n".join(
        _line(each["details"], patterns, texts)
        for each in entries
        if each["type"] == "notification.sent" and each["details"]["event_type"] == EVENT_TYPE
    )


def given_texts(client: httpx.Client, aws_url: str) -> dict[str, str]:
    """Return the subjects of e-mails and the texts of SMS by message id; none if the endpoint is not moto."""
    try:
        answer = client.get(f"{aws_url}/moto-api/data.json")
        content = answer.json() if answer.is_success else {}
    except (httpx.TransportError, ValueError):
        return {}
    mails = content.get("ses", {}).get("RawMessage", [])
    texts = {each["message_id"]: each["message"] for each in content.get("sns", {}).get("SMS", [])}
    return texts | {mail["id"]: _subject(mail["raw_data"]) for mail in mails}


def _subject(raw: str) -> str:
    header = email.message_from_string(raw)["Subject"] or ""
    return str(make_header(decode_header(header.replace("\r\n", ""))))


def _line(details: Mapping[str, Any], patterns: Mapping[str, str], texts: Mapping[str, str]) -> str:
    said = texts.get(details["provider_message_id"])
    noun = _NOUNS[details["channel"]]
    return f"  ✓ {noun} to {details['contact']}, chosen by {patterns.get(details['notification_id'], '?')}" + (
        f": {said}" if said else ""
    )
