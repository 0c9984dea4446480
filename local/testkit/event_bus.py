"""An EventBridge endpoint that takes and refuses what a test says, as moto cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids

Entry = dict[str, Any]


class CallError(NamedTuple):
    """What a whole call is answered with."""

    status: int
    code: str


class EventsEndpoint(ThreadingHTTPServer):
    """Keeps the entries that it takes. `url` is what AWS_ENDPOINT_URL must be."""

    daemon_threads = True

    def __init__(self) -> None:
        self.taken: list[Entry] = []
        # How many entries each call had.
        self.calls: list[int] = []
        # Return the ErrorCode of an entry, None to take it.
        self.refuse: Callable[[Entry], str | None] = lambda _: None
        # Return what to answer to a whole call, None to look at each entry.
        self.fail: Callable[[list[Entry]], CallError | None] = lambda _: None
        # Called with the number of a call once its entries are taken, before the answer. False: there is no answer.
        self.before_answer: Callable[[int], bool] = lambda _: True
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Return the address."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def details(self) -> list[str]:
        """Return what was taken, in the order of its arrival."""
        with self._lock:
            return [entry["Detail"] for entry in self.taken]

    def put(self, entries: list[Entry]) -> tuple[int, dict[str, Any]] | None:
        """Return status and body of an answer, None for no answer at all."""
        with self._lock:
            self.calls.append(len(entries))
            number = len(self.calls)
            if error := self.fail(entries):
                return error.status, {"__type": error.code, "message": "no"}
            results = []
            for entry in entries:
                if code := self.refuse(entry):
                    results.append({"ErrorCode": code, "ErrorMessage": "no"})
                else:
                    self.taken.append(entry)
                    results.append({"EventId": str(len(self.taken))})
        if not self.before_answer(number):
            return None
        return 200, {"FailedEntryCount": sum("ErrorCode" in each for each in results), "Entries": results}

    def __enter__(self) -> EventsEndpoint:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, EventsEndpoint)
        answer = self.server.put(request["Entries"])
        if answer is None:
            self.close_connection = True
            return
        body = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Serve a connection until its client goes, as one does that is killed."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def succeeded(merchant_id: UUID | None = None, **changes: Any) -> Event:
    """Return the event of a payment of 100.50 RUB that has succeeded, with some attributes changed."""
    ids = Uuid7Ids()
    payment_id = ids.new()
    values: dict[str, Any] = {
        "id": ids.new(),
        "type": "payment.succeeded",
        "payment_id": payment_id,
        "merchant_id": merchant_id or ids.new(),
        "correlation_id": "corr-1",
        "time": datetime.now(UTC),
        "sequence": 3,
        "data": {"payment_id": str(payment_id), "amount": "100.50", "currency": "RUB", "metadata": {"name": "Ünal €"}},
    }
    return Event(**values | changes)


def body_of(event: Event) -> str:
    """Return the body of the event's message."""
    return orjson.dumps(event.envelope()).decode()
