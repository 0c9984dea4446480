"""Clients of event streams: one in Python, and a browser behind a proxy that adds the API key."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PAUSE_SECONDS = 0.2
_TIMEOUT_SECONDS = 40.0

# As docs/merchants/events.md has it: an EventSource gives up after an answer that is an error.
_PAGE = """<!doctype html><title>events</title><script>
let last = "", sent = Promise.resolve();
function follow() {
  const source = new EventSource("/stream" + (last ? `?after=${last}` : ""));
  source.onmessage = (message) => {
    last = message.lastEventId;
    const body = JSON.stringify({id: last, event: JSON.parse(message.data)});
    sent = sent.then(() => fetch("/seen", {method: "POST", body}));
  };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) setTimeout(follow, 200); };
}
follow();
</script>"""


@dataclass
class Seen:
    """The events that a client has seen, in its order, each with the id of its frame.

    Once `ended` is set the client connects no more.
    """

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    errors: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def of(self, payment_ids: set[str]) -> list[str]:
        """The ids of the events of these payments."""
        return [event["event_id"] for _, event in self.events if event["data"].get("payment_id") in payment_ids]


def parse(text: str) -> tuple[list[tuple[str, dict[str, Any]]], str | None]:
    """The events in an answer, and the last id in it, that of a frame without an event included."""
    events, last = [], None
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        last = fields.get("id", last)
        if "data" in fields:
            assert last is not None
            events.append((last, json.loads(fields["data"])))
    return events, last


@contextmanager
def python_client(url: str, api_key: str, query: dict[str, str]) -> Iterator[Seen]:
    """Follow a stream within the block, as the documentation says."""
    seen = Seen()

    def follow() -> None:
        last: str | None = None
        with httpx.Client(trust_env=False, timeout=_TIMEOUT_SECONDS) as client:
            while not seen.ended.wait(_PAUSE_SECONDS):
                resumed = {"Last-Event-ID": last} if last else {}
                try:
                    answer = client.get(url, params=query, headers={"X-API-Key": api_key, **resumed})
                except httpx.TransportError:
                    seen.errors += 1
                    continue
                if answer.status_code != HTTPStatus.OK:
                    seen.errors += 1
                    continue
                events, newest = parse(answer.text)
                last = newest or last
                seen.events += events

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield seen
    finally:
        seen.ended.set()
        thread.join()


@contextmanager
def browser(url: str, api_key: str, query: dict[str, str], folder: Path) -> Iterator[Seen]:
    """Open a page with an EventSource in a headless Chromium within the block."""
    assert CHROMIUM is not None
    seen = Seen()
    with _proxy(url, api_key, query, seen) as page_url:
        command = [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--no-proxy-server",
            f"--user-data-dir={folder}",
            "--remote-debugging-port=0",
            page_url,
        ]
        with (folder / "chromium.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield seen
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


@contextmanager
def _proxy(url: str, api_key: str, query: dict[str, str], seen: Seen) -> Iterator[str]:
    with _MerchantsServer(url, api_key, query, seen) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


class _MerchantsServer(ThreadingHTTPServer):
    """Shows the page, passes the stream on with the key, and notes what the page has seen."""

    def __init__(self, url: str, api_key: str, query: dict[str, str], seen: Seen) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = url
        self.api_key = api_key
        self.query = query
        self.seen = seen


class _Handler(BaseHTTPRequestHandler):
    server: _MerchantsServer

    def do_GET(self) -> None:
        path, _, after = self.path.partition("?after=")
        if path == "/stream" and self.server.seen.ended.is_set():
            self._answer(HTTPStatus.NO_CONTENT)
        elif path == "/stream":
            self._pass_on(after)
        elif path == "/":
            self._answer(HTTPStatus.OK, "text/html", _PAGE.encode())
        else:
            self._answer(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        found = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.events.append((found["id"], found["event"]))
        self._answer(HTTPStatus.NO_CONTENT)

    def _pass_on(self, after: str) -> None:
        server, last = self.server, self.headers.get("last-event-id")
        headers = {"X-API-Key": server.api_key, **({"Last-Event-ID": last} if last else {})}
        params = {**server.query, **({"after": after} if after else {})}
        try:
            answer = httpx.get(server.url, params=params, headers=headers, trust_env=False, timeout=_TIMEOUT_SECONDS)
        except httpx.TransportError:
            # The browser sees a lost connection.
            server.seen.errors += 1
            return
        server.seen.errors += answer.status_code != HTTPStatus.OK
        kind = answer.headers.get("content-type", "text/plain")
        self._answer(HTTPStatus(answer.status_code), kind, answer.content)

    def _answer(self, status: HTTPStatus, kind: str = "text/plain", body: bytes = b"") -> None:
        with suppress(ConnectionError):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
