"""HTTP of the webhook sink: the behaviour of each path, and the received requests."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import orjson
from standardwebhooks import Webhook

from local.http.lean import Request, Response, json_response

# The sink forgets the oldest requests beyond this many, so that a load test cannot fill the memory.
RECEIVED_MAX = 100_000
# How far the time in a signature may be from the sink's: what Standard Webhooks advises.
TOLERANCE_SECONDS = 300


class SinkServer:
    """A handler for `LeanServer`. One of the `secrets`, which are `whsec_` texts, must have signed a request."""

    def __init__(self, secrets: Iterable[str], time_now: Callable[[], float] = time.time) -> None:
        self._time_now = time_now
        self._webhooks = [Webhook(secret) for secret in secrets]
        self._received: deque[dict[str, Any]] = deque(maxlen=RECEIVED_MAX)
        self._received_total = 0
        self._tries: Counter[tuple[str, str]] = Counter()

    async def handle(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/health":
                return json_response(200, {"status": "ok"})
            case "GET", "/received":
                return self._list(request)
            case "DELETE", "/received":
                self._received.clear()
                return Response(204)
            case "POST", _:
                return await self._receive(request)
        return json_response(405, {"error": "only POST is received here"})

    async def _receive(self, request: Request) -> Response:
        headers = dict(request.headers)
        self._received_total += 1
        self._received.append(
            {
                "number": self._received_total,
                "path": request.path,
                "headers": headers,
                "body": _decoded(request.body),
                "verified": self._is_verified(request.body, headers),
                "received_at": self._now(),
            }
        )
        parts = request.path.strip("/").split("/")
        try:
            return await self._behave(request, parts, headers.get("webhook-id", ""))
        except (ValueError, IndexError):
            return json_response(404, {"error": f"{request.path} names no behaviour of this sink"})

    async def _behave(self, request: Request, parts: list[str], webhook_id: str) -> Response:
        """Do what the first part of the path says. Raises ValueError or IndexError for a missing or wrong argument."""
        match parts[0]:
            case "slow":
                await asyncio.sleep(float(parts[1]))
            case "hang":
                await request.client_gone()
            case "redirect":
                return Response(302, headers={"Location": request.parameter("to") or "/ok"})
            case "status" | "gone" | "retry-after" | "fail-times":
                return self._refuse(parts, self._try(request.path, webhook_id))
        return json_response(200, {"received": True})

    def _refuse(self, parts: list[str], number: int) -> Response:
        """Return the answer to try `number` of an event at a path that refuses always or at first."""
        match parts[0]:
            case "status":
                return Response(_status(parts[1]))
            case "gone":
                return Response(410)
            case "retry-after" if number == 1:
                return Response(429, headers={"Retry-After": str(int(parts[1]))})
            case "fail-times" if number <= int(parts[1]):
                return Response(500)
        return json_response(200, {"received": True})

    def _try(self, path: str, webhook_id: str) -> int:
        """Count the tries of one event at one path, from 1."""
        self._tries[path, webhook_id] += 1
        return self._tries[path, webhook_id]

    def _is_verified(self, body: bytes, headers: dict[str, str]) -> bool:
        # The library compares the time with the machine's, and the stack's may be another.
        try:
            event_id, sent_at = headers["webhook-id"], float(headers["webhook-timestamp"])
            moment = datetime.fromtimestamp(sent_at, UTC)
            text = body.decode()
        except (KeyError, ValueError, OverflowError, OSError):
            return False
        if abs(self._time_now() - sent_at) > TOLERANCE_SECONDS:
            return False
        given = headers.get("webhook-signature", "").split(" ")
        wanted = [webhook.sign(event_id, moment, text) for webhook in self._webhooks]
        return any(hmac.compare_digest(one.encode(), each.encode()) for one in wanted for each in given)

    def _now(self) -> str:
        now = datetime.fromtimestamp(self._time_now(), UTC)
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _list(self, request: Request) -> Response:
        """List the requests to paths that begin with `path`, about `payment_id`, with a number above `after`."""
        try:
            after = int(request.parameter("after") or "0")
        except ValueError:
            return json_response(400, {"error": "after must be a number"})
        # From the newest back to the last known one: a caller that polls gets, and costs, only what is new.
        newer = takewhile(lambda received: received["number"] > after, reversed(self._received))
        path, payment_id = request.parameter("path") or "", request.parameter("payment_id")
        found = [
            received
            for received in newer
            if received["path"].startswith(path) and (payment_id is None or _payment_id(received["body"]) == payment_id)
        ]
        return json_response(200, found[::-1])


def _status(text: str) -> int:
    status = int(text)
    if not 200 <= status <= 599:
        raise ValueError("a final status lies between 200 and 599")
    return status


def _payment_id(body: Any) -> Any:
    data = body.get("data") if isinstance(body, dict) else None
    return data.get("payment_id", data.get("id")) if isinstance(data, dict) else None


def _decoded(body: bytes) -> Any:
    """Return the JSON value of the body, or its text if it is not JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode("utf-8", "replace")
