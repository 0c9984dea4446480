"""A server between a merchant and the API that loses the answer to an order, as networks do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

# Headers that belong to one connection.
_OF_A_CONNECTION = {"connection", "content-length", "host", "transfer-encoding"}


@dataclass(slots=True)
class LossyApi:
    """What came to the server, as (path, idempotency key, body) of each POST, and how often an answer was replayed."""

    url: str = ""
    posts: list[tuple[str, str, bytes]] = field(default_factory=list)
    replayed: int = 0


@contextmanager
def lossy_api(api_url: str) -> Iterator[LossyApi]:
    """Pass requests on to the API, but do this to the first POSTs of each path.

    The first one works, and its answer is lost. The second one is answered 503 and never reaches the API.
    """
    seen = LossyApi()
    with _Server(api_url, seen) as server:
        seen.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    def __init__(self, api_url: str, seen: LossyApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api_url = api_url
        self.seen = seen


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(self._ask(b""))

    def do_POST(self) -> None:
        posts = self.server.seen.posts
        body = self.rfile.read(int(self.headers["content-length"]))
        posts.append((self.path, self.headers.get("idempotency-key", ""), body))
        match sum(path == self.path for path, _, _ in posts):
            case 1:
                self._ask(body)
                self.close_connection = True
            case 2:
                self._answer(httpx.Response(503, headers={"Retry-After": "1"}))
            case _:
                self._answer(self._ask(body))

    def _ask(self, body: bytes) -> httpx.Response:
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _OF_A_CONNECTION}
        url = self.server.api_url + self.path
        answer = httpx.request(self.command, url, content=body, headers=headers, trust_env=False, timeout=30)
        self.server.seen.replayed += answer.headers.get("idempotency-replayed") == "true"
        return answer

    def _answer(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        for name, text in answer.headers.items():
            if name.lower() not in _OF_A_CONNECTION:
                self.send_header(name, text)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Leave the output to the tests."""
