"""A receiver of Paybridge's webhooks: it verifies, handles each event once and keeps the latest state.

Copy it and put your own code where `RECEIVED` is printed. It needs `pip install standardwebhooks` and nothing else.

    python examples/receiver/receiver.py --port 8099 --secret whsec_… --database receiver.db
"""

from __future__ import annotations

import argparse
import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

# Webhooks have a few kilobytes. Without a bound, any stranger could fill the memory.
BODY_BYTES_MAX = 1_000_000
# Another request may be writing.
LOCK_SECONDS_MAX = 5.0
# What an event is about, by the beginning of its type: the member of `data` with its id.
SUBJECTS = {"payment": "payment_id", "refund": "refund_id", "webhook_endpoint": "endpoint_id"}

SCHEMA = """
CREATE TABLE IF NOT EXISTS handled (webhook_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS states (
    subject_type TEXT NOT NULL,
    subject_id   TEXT NOT NULL,
    sequence     INTEGER NOT NULL,
    type         TEXT NOT NULL,
    data         TEXT NOT NULL,
    PRIMARY KEY (subject_type, subject_id)
);
"""
# An event that arrives late must not overwrite a newer one.
KEEP_LATEST = """
INSERT INTO states (subject_type, subject_id, sequence, type, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (subject_type, subject_id) DO UPDATE
SET sequence = excluded.sequence, type = excluded.type, data = excluded.data
WHERE excluded.sequence > states.sequence
"""

log = logging.getLogger("receiver")


@dataclass(frozen=True)
class Event:
    """A verified webhook."""

    id: str
    type: str
    data: dict[str, Any]

    @property
    def subject_type(self) -> str:
        """Return what the event is about."""
        return self.type.partition(".")[0]

    @property
    def subject_id(self) -> str | None:
        """Return the id of what the event is about, None if this receiver does not know its kind."""
        name = SUBJECTS.get(self.subject_type)
        return self.data.get(name) if name is not None else None


class Receiver:
    """Handles webhooks. `secrets` are those of the endpoint: several while one is being rotated."""

    def __init__(self, database: str, secrets: Sequence[str]) -> None:
        self._database = database
        self._webhooks = [Webhook(secret) for secret in secrets]
        with closing(self._connect()) as connection:
            # Readers do not wait for a writer.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)

    def receive(self, headers: Mapping[str, str], body: bytes) -> HTTPStatus:
        """Return the status that answers a webhook. `headers` have names in lower case.

        What is answered 2xx is stored: the transaction is committed before the answer. If this fails, so does the
        request, and Paybridge repeats it.
        """
        event = self._verified(headers, body)
        if event is None:
            return HTTPStatus.BAD_REQUEST
        with closing(self._connect()) as connection, connection:
            # Two requests with the same id may come at once, so the transaction locks before it looks.
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute("INSERT OR IGNORE INTO handled VALUES (?)", (event.id,)).rowcount:
                self._handle(connection, event)
        return HTTPStatus.NO_CONTENT

    def state(self, subject_type: str, subject_id: str) -> dict[str, Any] | None:
        """Return the latest `data` of a payment, refund or endpoint, None if no event about it has come."""
        query = "SELECT data FROM states WHERE subject_type = ? AND subject_id = ?"
        with closing(self._connect()) as connection:
            row = connection.execute(query, (subject_type, subject_id)).fetchone()
        state: dict[str, Any] | None = None if row is None else json.loads(row[0])
        return state

    def _verified(self, headers: Mapping[str, str], body: bytes) -> Event | None:
        """Return the event, None if none of the secrets has signed exactly these bytes within five minutes."""
        for webhook in self._webhooks:
            try:
                content = webhook.verify(body, dict(headers))
                return Event(headers["webhook-id"], content["type"], content["data"])
            except (WebhookVerificationError, ValueError):
                # Another secret may fit. The library raises ValueError for a header that it cannot read.
                continue
        return None

    def _handle(self, connection: sqlite3.Connection, event: Event) -> None:
        """Store the event's state. Runs once for each event, in the transaction that remembers its id."""
        if event.subject_id is None:
            return  # More types may follow. They are none of our business.
        row = (event.subject_type, event.subject_id, event.data["sequence"], event.type, json.dumps(event.data))
        if connection.execute(KEEP_LATEST, row).rowcount:
            log.info("RECEIVED %s %s %s", event.type, event.subject_id, event.data.get("status", ""))

    def _connect(self) -> sqlite3.Connection:
        # Transactions are begun by hand.
        return sqlite3.connect(self._database, timeout=LOCK_SECONDS_MAX, isolation_level=None)


def server(receiver: Receiver, port: int) -> ThreadingHTTPServer:
    """Return a server on loopback that passes POSTs to the receiver and shows states on `/<type>/<id>`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if length > BODY_BYTES_MAX:
                self.close_connection = True
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(receiver.receive(headers, self.rfile.read(length)))

        def do_GET(self) -> None:
            _, subject_type, subject_id, *_ = [*self.path.split("/"), "", ""]
            state = receiver.state(subject_type, subject_id)
            self._answer(HTTPStatus.NOT_FOUND if state is None else HTTPStatus.OK, json.dumps(state).encode())

        def _answer(self, status: HTTPStatus, body: bytes = b"") -> None:
            self.send_response(status)
            if status != HTTPStatus.NO_CONTENT:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            if status != HTTPStatus.NO_CONTENT:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Leave the log to what was received."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Receive webhooks of Paybridge.")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--secret", action="append", required=True, help="whsec_…; several while one is rotated")
    parser.add_argument("--database", default="receiver.db", help="an SQLite file")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with server(Receiver(options.database, options.secret), options.port) as running:
        running.serve_forever()


if __name__ == "__main__":
    main()
