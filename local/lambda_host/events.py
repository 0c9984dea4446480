"""Asynchronous invocations: Lambda's event queue, in memory."""

from __future__ import annotations

import asyncio
import logging
import time

from infra.sam_template.definitions import RetryPolicy
from local.lambda_host.model import ThrottledError
from local.lambda_host.pool import FunctionPool

logger = logging.getLogger(__name__)

# Lambda waits one minute before the second attempt of a failed event, two before the third and every further one.
_ERROR_DELAYS_SECONDS = (60.0, 120.0)
# Throttled events are retried with growing pauses, from a second to five minutes.
_THROTTLE_DELAY_SECONDS_MIN = 1.0
_THROTTLE_DELAY_SECONDS_MAX = 300.0
# Lambda's queue has no visible limit. This one must not fill the machine's memory.
_EVENTS_MAX = 10_000


class EventQueue:
    """Invoke functions for asynchronous events, and retry them as the retry policy says."""

    def __init__(self, error_delays_seconds: tuple[float, ...] = _ERROR_DELAYS_SECONDS) -> None:
        self._error_delays_seconds = error_delays_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, pool: FunctionPool, payload: bytes, policy: RetryPolicy) -> None:
        """Take an event. Raises ThrottledError when 10,000 are waiting."""
        if len(self._tasks) >= _EVENTS_MAX:
            raise ThrottledError("Too many asynchronous events are waiting.")
        task = asyncio.create_task(self._deliver(pool, payload, policy))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Drop the events that wait."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, pool: FunctionPool, payload: bytes, policy: RetryPolicy) -> None:
        expires_at = time.monotonic() + policy.event_age_seconds_max
        errors = 0
        throttle_delay_seconds = _THROTTLE_DELAY_SECONDS_MIN
        while True:
            try:
                result = await pool.invoke(payload)
            except ThrottledError:
                delay_seconds = throttle_delay_seconds
                throttle_delay_seconds = min(2 * throttle_delay_seconds, _THROTTLE_DELAY_SECONDS_MAX)
            else:
                if result.function_error is None:
                    return
                errors += 1
                logger.warning(
                    "%s failed: %s", pool.definition.logical_id, result.payload.decode(errors="replace")[:500]
                )
                if errors > policy.retry_attempts_max:
                    return
                delay_seconds = self._error_delays_seconds[min(errors, len(self._error_delays_seconds)) - 1]
            if time.monotonic() + delay_seconds > expires_at:
                logger.warning("Dropped an event for %s: it is too old.", pool.definition.logical_id)
                return
            await asyncio.sleep(delay_seconds)
