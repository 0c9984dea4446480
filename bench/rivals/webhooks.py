"""The rivals' webhooks: body and signature of Standard Webhooks, which the sink verifies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any


def signed(event: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the body of an event, and headers that sign it with the secret in WEBHOOK_SECRET."""
    body = json.dumps({"type": event["type"], "timestamp": event["time"], "data": event["data"]}).encode()
    timestamp = str(int(time.time()))
    key = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event['id']}.{timestamp}.".encode() + body, hashlib.sha256)
    return body, {
        "content-type": "application/json",
        "webhook-id": event["id"],
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }
