"""Build the bytes of an e-mail, so that no text can add a header or a recipient.

The headers are written here and not by `email.message`, which decodes encoded words in what it is given: a name such as
`=?utf-8?q?=0D=0ABcc:_a@b.example?=` becomes a header of its output.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from email.utils import format_datetime

from paybridge.access.domain.merchants import EMAIL_PATTERN
from paybridge.notifications.domain.notification import Notification
from paybridge.notifications.domain.texts import one_line

SENDER_NAME = "Paybridge"
TEXT_CHARACTERS_MAX = 150
# Words that stand in a header as they are. Any other text is encoded.
_PLAIN = re.compile(r"[A-Za-z0-9]+([ .-]{1,2}[A-Za-z0-9]+)*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*")
_PLAIN_CHARACTERS_MAX = 60
# A line with an encoded word has at most 76 characters (RFC 2047). `Subject: ` and the word's frame leave 52 of them.
_ENCODED_BYTES_MAX = 39
_DOT_ATOM = re.compile(r"[^.]+(\.[^.]+)*")


def build_mail(notification: Notification, sender: str, now: datetime) -> bytes:
    """Return the e-mail of a notification from the sender's address, as RFC 5322 wants it.

    Its names and title are one line each, whatever they are made of. Raises ValueError if an address is none.
    """
    content = "\r\n".join(notification.body.splitlines()) + "\r\n"
    is_plain = all(line.isascii() and line.isprintable() for line in content.split("\r\n"))
    headers = [
        f"From: {_mailbox(SENDER_NAME, sender)}",
        f"To: {_mailbox(notification.recipient, notification.contact)}",
        f"Subject: {_words(notification.title or '', _PLAIN)}",
        f"Date: {format_datetime(now)}",
        # RFC 3834: no vacation responder answers.
        "Auto-Submitted: auto-generated",
        f"X-Paybridge-Notification: {notification.id}",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
        f"Content-Transfer-Encoding: {'7bit' if is_plain else 'base64'}",
    ]
    encoded = content.encode(errors="replace")
    body = encoded if is_plain else base64.encodebytes(encoded).replace(b"\n", b"\r\n")
    return "\r\n".join([*headers, "", ""]).encode("ascii") + body


def _mailbox(name: str, address: str) -> str:
    if re.fullmatch(EMAIL_PATTERN, address) is None:
        raise ValueError("not an e-mail address")
    local_part, _, domain = address.rpartition("@")
    quoted = local_part if _DOT_ATOM.fullmatch(local_part) else f'"{local_part}"'
    words = _words(name, _PLAIN_NAME)
    # Below encoded words the address has a separate line.
    space = "\r\n " if words.startswith("=?") else " "
    return f"{words}{space}<{quoted}@{domain}>" if words else f"{quoted}@{domain}"


def _words(text: str, plain: re.Pattern[str]) -> str:
    """Return the text as it stands in a header: as it is, or as encoded words on lines that continue the header."""
    line = one_line(text, TEXT_CHARACTERS_MAX)
    if not line or (len(line) <= _PLAIN_CHARACTERS_MAX and plain.fullmatch(line)):
        return line
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(part).decode()}?=" for part in _parts(line))


def _parts(line: str) -> list[bytes]:
    """Return the line's bytes in parts of at most _ENCODED_BYTES_MAX that split no character."""
    parts = [b""]
    for character in line:
        encoded = character.encode()
        if len(parts[-1]) + len(encoded) > _ENCODED_BYTES_MAX:
            parts.append(b"")
        parts[-1] += encoded
    return parts
