"""Secrets and signatures of Standard Webhooks (https://www.standardwebhooks.com), for both directions."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from paybridge.core.errors import InvalidInput

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with, not one of them
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64


class InvalidSecret(InvalidInput, ValueError):
    """The webhook secret is not `whsec_` and the base64 of 24 to 64 bytes."""

    def __init__(self) -> None:
        detail = (
            f"A webhook secret is {SECRET_PREFIX} and the base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes."
        )
        super().__init__("invalid_webhook_secret", detail)


def parse_secret(text: str) -> bytes:
    """Return the key inside a `whsec_` secret. Raises InvalidSecret if it is malformed, too short or too long."""
    encoded = text.removeprefix(SECRET_PREFIX)
    if encoded == text:
        raise InvalidSecret
    try:
        key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSecret from None
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise InvalidSecret
    return key


def signature(keys: Sequence[bytes], message_id: str, timestamp_seconds: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one `v1,` signature per key, newest first (several during a rotation)."""
    if not keys:
        raise ValueError("a webhook cannot be signed without a key")
    return " ".join("v1," + _digest(key, message_id, timestamp_seconds, body) for key in keys)


def is_signed_by(keys: Sequence[bytes], header: str, message_id: str, timestamp_seconds: int, body: bytes) -> bool:
    """Tell whether one of the keys made one of the `v1,` signatures in a `webhook-signature` header."""
    given = [part.removeprefix("v1,").encode() for part in header.split(" ") if part.startswith("v1,")]
    expected = [_digest(key, message_id, timestamp_seconds, body).encode() for key in keys]
    return any(hmac.compare_digest(one, other) for one in given for other in expected)


def _digest(key: bytes, message_id: str, timestamp_seconds: int, body: bytes) -> str:
    content = f"{message_id}.{timestamp_seconds}.".encode() + body
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode("ascii")
