"""Make keys and webhook secrets that cannot be guessed."""

from __future__ import annotations

import base64
import secrets

from paybridge.access.domain.api_keys import BASE62, RANDOM_CHARACTERS, key_of
from paybridge.core.standard_webhooks import SECRET_PREFIX

# Standard Webhooks requires 24 to 64 bytes.
SECRET_BYTES = 32


def new_api_key() -> str:
    """Return a new API key, of 178 random bits."""
    return key_of("".join(secrets.choice(BASE62) for _ in range(RANDOM_CHARACTERS)))


def new_webhook_secret() -> str:
    """Return a new secret that signs webhooks."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
