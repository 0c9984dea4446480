"""Receive webhooks: verify each, and handle it once. Needs Python 3.9 and no packages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = int(os.environ.get("PORT", "8099"))
SECRET = os.environ.get("WEBHOOK_SECRET", "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE=")
TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 1_000_000

handled: set[str] = set()  # In your program: a table, written in the transaction that stores the effect.


def is_genuine(headers: Any, body: bytes) -> bool:
    """Tell whether our secret has signed exactly these bytes, within the last five minutes."""
    id_, timestamp, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    encoded = SECRET[len("whsec_") :].rstrip("=")
    key = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    signed = f"{id_}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # There are several while a secret rotates: one for each secret. compare_digest takes the same time for any text.
    return any(hmac.compare_digest(expected, each.encode()) for each in signatures.split(" "))


def handle(id_: str, event: dict[str, Any]) -> None:
    if id_ in handled:
        return  # An attempt whose answer was lost is repeated.
    handled.add(id_)
    data = event["data"]
    # Events may come in any order: ignore one whose sequence is lower than the last of the same payment or refund.
    subject = data.get("refund_id") or data.get("payment_id")
    # One write for each line, because webhooks arrive in several threads.
    print(f"{event['type']} {subject} {data.get('sequence')}\n", end="", flush=True)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > BODY_BYTES_MAX:
            self.answer(413)
            return
        body = self.rfile.read(length)  # The bytes as they came. Parsed and written again they would differ.
        if not is_genuine(self.headers, body):
            self.answer(400)
            return
        handle(self.headers["webhook-id"], json.loads(body))
        self.answer(204)  # Only now: what is answered 2xx is not sent again.

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Leave the output to the events."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
