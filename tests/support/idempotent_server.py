"""A small API that takes idempotency keys as the IETF draft says, and breaks the one rule that a test names.

Or it has a habit that the draft allows: `optional-key`, `bytes-compared`, `failed-keys-kept`, `plain-errors`, `waits`.
`keys-ignored` is an API that knows no keys.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CALLERS = ("one", "two")
DOCUMENTATION = "<h1>Idempotency-Key</h1><p>A key is a text of up to 64 characters. It expires after 24 hours.</p>"
# What the suite has to know of the API.
SETTINGS: dict[str, Any] = {
    "request": {
        "path": "/things",
        "headers": {"X-Key": "{key}"},
        "json": {"amount": "1.00", "marker": "{marker}"},
        "changed": {"amount": "2.00"},
        "invalid": {"amount": "-1.00"},
        "slow": {"slow": True},
    },
    "resource": {"list": "/things?marker={marker}", "items": "data"},
    "callers": {"other_key": "two"},
    "documentation": {"url": "/docs"},
    "run": {"requests": 6, "slow_after_milliseconds": 200},
}
LINK = '</docs>; rel="describedby"; type="text/html"'
# A request with the member `slow` is in progress until another one with its key has come.
MEET_SECONDS_MAX = 5.0
WORK_SECONDS = 0.02
# For the faults that show in requests at once only.
LONG_WORK_SECONDS = 0.25

_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"')
_QUOTED_WITHOUT_ESCAPES = re.compile(r'"([ !#-\[\]-~]+)"')
_BARE = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass
class Entry:
    """What is kept under a key.

    `met` is set when another request has come while this one was in progress, `done` when it is not any more.
    """

    raw: bytes
    members: dict[str, Any]
    answer: bytes | None = None
    met: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    is_lost: bool = False


class IdempotentServer(ThreadingHTTPServer):
    """The API, and all that it keeps. `fault` is the id of the rule that it breaks, or a habit, or empty."""

    daemon_threads = True

    def __init__(self, fault: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault = fault
        self.lock = threading.Lock()
        self.entries: dict[tuple[str, str], Entry] = {}
        self.failed: set[str] = set()
        self.things: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def make(self, caller: str, members: dict[str, Any]) -> bytes:
        """Make a thing and return the answer."""
        thing = {"id": f"thing-{next(self._numbers)}", "caller": caller, **members}
        self.things.append(thing)
        return json.dumps(thing).encode()


@contextmanager
def serving(fault: str = "") -> Iterator[IdempotentServer]:
    """Serve the API on a free port."""
    with IdempotentServer(fault) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # An answer is sent at once and in one piece, or each would wait for the acknowledgement of its head.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: IdempotentServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the standard library.
        """Say nothing."""

    @property
    def fault(self) -> str:
        """The rule to break, or the habit to have."""
        return self.server.fault

    def do_GET(self) -> None:
        """List the things with a marker, or show the documentation."""
        parts = urlsplit(self.path)
        if parts.path == "/docs":
            self._answer(200, self._documentation().encode(), {"Content-Type": "text/html"})
            return
        if parts.path != "/things":
            self._problem(404)
            return
        markers = parse_qs(parts.query).get("marker", [])
        self._answer(
            200, json.dumps({"data": [one for one in self.server.things if one["marker"] in markers]}).encode()
        )

    def do_POST(self) -> None:
        """Make a thing."""
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        caller = self.headers.get("X-Key", "")
        fields = self.headers.get_all("Idempotency-Key") or []
        if self.path != "/things":
            self._problem(404)
        elif caller not in CALLERS:
            self._problem(401)
        elif self.fault == "keys-ignored" or (not fields and self.fault == "optional-key"):
            self._answer(202, self.server.make(caller, json.loads(raw)))
        elif not fields:
            self._problem(422 if self.fault == "key-required" else 400, is_linked=self.fault != "key-required-link")
        else:
            self._keyed(caller, self._key(fields), raw)

    def _keyed(self, caller: str, key: str | None, raw: bytes) -> None:
        members = json.loads(raw)
        if key is None:
            self._problem(400)
        elif members["amount"].startswith("-"):
            self._fail(key)
        elif key in self.server.failed and self.fault == "corrected-request":
            self._problem(500)
        elif key in self.server.failed and self.fault == "failed-keys-kept":
            self._problem(422)
        else:
            self._create("all" if self.fault == "other-caller" else caller, key, raw, members, caller)

    def _key(self, fields: list[str]) -> str | None:
        if len(fields) > 1 and self.fault != "repeated-header":
            return None
        if fields[0].startswith('"') and self.fault == "quoted-key":
            return None
        quoted = (_QUOTED_WITHOUT_ESCAPES if self.fault == "escaped-key" else _QUOTED).fullmatch(fields[0])
        bare = _BARE.fullmatch(fields[0])
        if quoted or bare:
            return quoted.group(1) if quoted else fields[0]
        return fields[0] if self.fault == "malformed-key" else None

    def _fail(self, key: str) -> None:
        is_repeated = key in self.server.failed
        self.server.failed.add(key)
        self._problem(500 if is_repeated and self.fault == "failed-retry" else 422, is_linked=False)

    def _create(self, owner: str, key: str, raw: bytes, members: dict[str, Any], caller: str) -> None:
        with self.server.lock:
            earlier = self.server.entries.get((owner, key))
            if earlier is None:
                twin = self._twin(owner, members) if self.fault == "new-key" else None
                entry = twin or Entry(raw, members)
                self.server.entries[owner, key] = entry
                earlier = twin
        if earlier is None:
            self._work(entry)
            entry.answer = self.server.make(caller, members)
            entry.done.set()
            self._answer(202, entry.answer)
        elif earlier.answer is None:
            self._meet(earlier, raw, members, caller)
        else:
            self._repeat(earlier, raw, members, caller)

    def _twin(self, owner: str, members: dict[str, Any]) -> Entry | None:
        entries = self.server.entries.items()
        return next((entry for (caller, _), entry in entries if (caller, entry.members) == (owner, members)), None)

    def _work(self, entry: Entry) -> None:
        if "slow" in entry.members:
            entry.met.wait(MEET_SECONDS_MAX)
        elif self.fault in ("concurrent-one-resource", "retry-one-resource"):
            # Every request that comes at the same time finds this one in progress.
            threading.Event().wait(LONG_WORK_SECONDS)
        else:
            threading.Event().wait(WORK_SECONDS)

    def _meet(self, entry: Entry, raw: bytes, members: dict[str, Any], caller: str) -> None:
        entry.met.set()
        match self.fault:
            case "waits":
                entry.done.wait(MEET_SECONDS_MAX)
                self._repeat(entry, raw, members, caller)
            case "concurrent-one-resource" if "slow" not in entry.members:
                self._answer(202, self.server.make(caller, entry.members))
            case "concurrent-answers":
                self._problem(500)
            case "in-flight-409":
                self._problem(423)
            case "in-flight-described":
                self._answer(409, b"")
            case "in-flight-retry":
                entry.is_lost = True
                self._problem(409)
            case _:
                self._problem(409)

    def _repeat(self, entry: Entry, raw: bytes, members: dict[str, Any], caller: str) -> None:
        assert entry.answer is not None
        if entry.is_lost:
            self._problem(409)
        elif members != entry.members:
            self._refuse_reuse(entry)
        elif self.fault == "same-members" and raw != entry.raw:
            self._answer(202, self.server.make(caller, members))
        elif self.fault == "bytes-compared" and raw != entry.raw:
            self._refuse_reuse(entry)
        elif self.fault == "retry-same-answer":
            self._answer(202, json.dumps({**json.loads(entry.answer), "is_repeated": True}).encode())
        else:
            if self.fault == "retry-one-resource" and raw == entry.raw and not entry.met.is_set():
                self.server.make(caller, members)
            self._answer(202, entry.answer)

    def _refuse_reuse(self, entry: Entry) -> None:
        if self.fault == "reused-key-fails":
            assert entry.answer is not None
            self._answer(202, entry.answer)
            return
        entry.is_lost = self.fault == "original-kept"
        self._problem(409 if self.fault == "reused-key-422" else 422, is_linked=self.fault != "reused-key-link")

    def _documentation(self) -> str:
        match self.fault:
            case "specification-published":
                return "<h1>Things</h1>"
            case "expiry-documented":
                return DOCUMENTATION.replace("It expires after 24 hours.", "")
            case "key-format-documented":
                return DOCUMENTATION.replace("of up to 64 characters", "")
            case _:
                return DOCUMENTATION

    def _problem(self, status: int, *, is_linked: bool = True) -> None:
        said = 418 if self.fault == "problem-details" else status
        body = json.dumps({"type": "urn:things:problem", "title": "Refused", "status": said}).encode()
        media_type = "application/json" if self.fault == "plain-errors" else "application/problem+json"
        headers = {"Content-Type": media_type, **({"Link": LINK} if is_linked else {})}
        self._answer(status, body, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
