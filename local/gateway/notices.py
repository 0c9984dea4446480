"""Signed notices about what the gateway decides later, as Standard Webhooks describes them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
from standardwebhooks import Webhook

from local.gateway.books import written
from local.gateway.log import Record
from local.gateway.server import public

if TYPE_CHECKING:
    import httpx

# The receiver may start later than the gateway, and it may restart.
RETRY_DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0)
TIMEOUT_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Notices:
    """Post notices to `url`, signed with the `whsec_` secret. Only 2xx counts as received."""

    def __init__(self, url: str, secret: str, time_now: Callable[[], float] = time.time) -> None:
        self._time_now = time_now
        self._url = url
        self._webhook = Webhook(secret)
        self._client: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, notice_type: str, record: Record) -> None:
        """Send a notice without waiting for its receipt, and retry a few times."""
        notice_id = f"ntc_{uuid.uuid4().hex}"
        notice = {"id": notice_id, "type": notice_type, "created_at": written(self._time_now()), "data": public(record)}
        task = asyncio.get_running_loop().create_task(self._deliver(notice_id, orjson.dumps(notice)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def sending(self) -> int:
        """Return how many notices are not received yet."""
        return len(self._tasks)

    async def close(self) -> None:
        """Drop what was not received yet."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _deliver(self, notice_id: str, body: bytes) -> None:
        for delay_seconds in (0.0, *RETRY_DELAYS_SECONDS):
            await asyncio.sleep(delay_seconds)
            if await self._is_received(notice_id, body):
                return
        logger.warning("The notice %s was not received by %s.", notice_id, self._url)

    async def _is_received(self, notice_id: str, body: bytes) -> bool:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False)
        now = datetime.fromtimestamp(self._time_now(), UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(notice_id, now, body.decode()),
        }
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError:
            return False
        return response.is_success
