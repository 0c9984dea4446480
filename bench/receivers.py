"""`python -m bench.receivers SECRET PORT…`: receivers of webhooks in a process, which answer at once and count.

`GET /counted` on any port returns how many requests came since the last `DELETE`, how many different ones had a valid
signature, and when the last came.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from local.http.lean import LeanServer, Request, Response, json_response, loop_factory
from local.servers.processes import accepts_connections, free_port
from local.settings import PROJECT

START_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What the receivers have got: requests, different webhooks with a valid signature, and the time of the last."""

    requests: int
    verified: int
    last_at: float


@dataclass(frozen=True, slots=True)
class Receivers:
    """Receivers in another process, each at a port."""

    ports: tuple[int, ...]

    def url(self, number: int, path: str) -> str:
        """Return a URL of the receiver with this number."""
        return f"http://127.0.0.1:{self.ports[number]}/{path}"

    def take(self) -> Counted:
        """Return what has come, and count from 0 again."""
        url = self.url(0, "counted")
        found: dict[str, Any] = httpx.get(url, trust_env=False, timeout=30).raise_for_status().json()
        httpx.delete(url, trust_env=False, timeout=30).raise_for_status()
        return Counted(**found)


@contextmanager
def running_receivers(count: int, secret: str) -> Iterator[Receivers]:
    """Start so many receivers in one process, which verify by this `whsec_` secret."""
    ports = tuple(free_port() for _ in range(count))
    process = subprocess.Popen([sys.executable, "-m", "bench.receivers", secret, *map(str, ports)], cwd=PROJECT)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not accepts_connections(ports[-1]):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the receivers did not start")
            time.sleep(0.02)
        yield Receivers(ports)
    finally:
        process.terminate()
        process.wait()


class _Counter:
    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._forget()

    def _forget(self) -> None:
        self._requests, self._last_at = 0, 0.0
        self._verified: set[tuple[str, str]] = set()

    async def handle(self, request: Request) -> Response:
        if request.path == "/counted":
            if request.method == "DELETE":
                self._forget()
                return Response(204)
            counted = {"requests": self._requests, "verified": len(self._verified), "last_at": self._last_at}
            return json_response(200, counted)
        self._requests += 1
        self._last_at = time.time()
        if self._is_signed(request):
            self._verified.add((request.headers["webhook-id"], request.path))
        return Response(204)

    def _is_signed(self, request: Request) -> bool:
        headers = request.headers
        try:
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
            digest = hmac.digest(self._key, signed, hashlib.sha256)
            return hmac.compare_digest(headers["webhook-signature"], "v1," + base64.b64encode(digest).decode())
        except KeyError:
            return False


async def _serve(secret: str, ports: list[int]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counter = _Counter(secret)
    servers = [LeanServer(counter.handle) for _ in ports]
    for server, port in zip(servers, ports, strict=True):
        await server.start("127.0.0.1", port)
    await stop.wait()
    for server in servers:
        await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.receivers")
    parser.add_argument("secret")
    parser.add_argument("ports", nargs="+", type=int)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(arguments.secret, arguments.ports))
