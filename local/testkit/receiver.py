"""A webhook receiver that keeps the very bytes it was sent, and that a test can have behave badly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Request:
    """One webhook as it came; `at` is monotonic, in seconds."""

    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(slots=True)
class Receiver:
    """A running receiver; while `open` is not set it takes requests and answers none."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running_receiver(*, hanging: bool = False) -> Iterator[Receiver]:
    """A receiver on a fresh port. To the sender it has no history."""
    receiver = Receiver()
    if not hanging:
        receiver.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(headers, body, time.monotonic()))
            receiver.open.wait()
            try:
                self.send_response(204)
                self.end_headers()
            except OSError:
                # The sender has given up in the meantime.
                self.close_connection = True

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.shutdown()
        thread.join()
        server.server_close()
