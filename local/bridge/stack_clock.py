"""Move the time of the whole stack forward: `POST /test/clock/advance`.

An advance is no single jump. Webhook retries are each scheduled when the one before has failed, so the time goes to
what is due next, the stack works until it is quiet, and so on to the end. Between advances time flows as usual.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import math
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
import pg8000.native

from infra.sam_template.definitions import FunctionDefinition, ScheduleEvent
from local.bridge.http import OwnRoute
from local.bridge.http_events import HttpResponse
from local.bridge.problems import ProblemError
from local.bridge.rabbitmq import QueueMapping
from local.bridge.schedules import schedule_event
from local.clock import due
from local.clock.database import DatabaseClock
from local.clock.due import Due
from local.clock.offset import Offset
from local.errors import LocalError
from local.lambda_host.model import InvokeError, Invoker
from paybridge.core.errors import BrokerUnavailable
from paybridge.rabbitmq.depths import AmqpQueueDepths

logger = logging.getLogger(__name__)

SECONDS_MAX = 366 * 86_400
STOPS_MAX = 10_000
STOPS_SHOWN_MAX = 100
# What is due so soon after a stop belongs to it.
TOGETHER_SECONDS = 0.25
# A receiver or a gateway may hang. Its time limits are the machine's, and the advance goes on after this long.
SETTLE_SECONDS_MAX = 30.0
# From then on: what is down, such as the broker, would cost as much at each of many stops.
SETTLE_AGAIN_SECONDS_MAX = 2.0
# A message is on its way between the broker and its reader for less than this.
LOOK_SECONDS = 0.008
QUIET_LOOKS = 2
JOBS_AT_LEAST_EVERY_SECONDS = 86_400
GATEWAY_SECONDS_MAX = 10.0
# It drains the outbox for as long as it may run, so nothing waits for its end, and NOTIFY wakes it.
RELAY = "RelayFunction"


class Schedule(NamedTuple):
    """A schedule and the function that it invokes."""

    function: str
    event: ScheduleEvent


@dataclass(frozen=True, slots=True)
class Stop:
    """A time at which an advance let the stack work, and what was due then."""

    at: float
    what: str


@dataclass(slots=True)
class Advance:
    """One advance on its way: at its end the stack's time is ahead of the machine's by `to_ahead`."""

    to_ahead: timedelta
    seconds: float
    stops: list[Stop] = field(default_factory=list)
    # The stack was still at work at some stop when its time was up.
    is_settled: bool = True
    jobs_ran_at: float = 0.0

    @property
    def target(self) -> float:
        """Return the time at the end, in seconds since 1970, if it came now."""
        return time.time() + self.to_ahead.total_seconds()


@dataclass(frozen=True, slots=True)
class StackParts:
    """What the clock moves and watches."""

    offset: Offset
    database_url: str
    gateway_url: str
    invoker: Invoker
    mappings: Sequence[QueueMapping]
    schedules: Sequence[Schedule]
    region: str
    # The queues that workers read, and where.
    worker_queues: Sequence[str]
    broker_url: str


class StackClock:
    """The time of the stack, which advances one request at a time."""

    def __init__(self, parts: StackParts) -> None:
        self._parts = parts
        self._lock = asyncio.Lock()
        self._current: Advance | None = None

    @property
    def routes(self) -> dict[tuple[str, str], OwnRoute]:
        """Return the routes that the front answers by this clock."""
        return {("GET", "/test/clock"): self._show, ("POST", "/test/clock/advance"): self._advance}

    async def _show(self, _: bytes) -> HttpResponse:
        current = self._current
        advancing = None
        if current is not None:
            advancing = {"to": written(current.target), "stops_total": len(current.stops)}
        return _answer({**self._times(), "advancing": advancing})

    async def _advance(self, body: bytes) -> HttpResponse:
        seconds = read_seconds(body)
        async with self._lock:
            try:
                advance = await self.advance(seconds)
            except (LocalError, OSError, pg8000.native.InterfaceError, pg8000.native.DatabaseError) as error:
                raise ProblemError(503, f"The clock stopped on its way: {error}") from error
        stops = [{"at": written(stop.at), "what": stop.what} for stop in advance.stops[-STOPS_SHOWN_MAX:]]
        return _answer(
            {
                **self._times(),
                "advanced_seconds": seconds,
                "settled": advance.is_settled,
                "stops_total": len(advance.stops),
                "stops": stops,
            }
        )

    def _times(self) -> dict[str, Any]:
        offset = self._parts.offset
        return {"now": written(offset.now()), "ahead_seconds": offset.read().total_seconds()}

    async def advance(self, seconds: float) -> Advance:
        """Move the time of the stack by `seconds`, from one time at which something is due to the next.

        Raises LocalError or pg8000's errors when the database does not follow. The time then stays where it was.
        """
        offset = self._parts.offset
        to_ahead = offset.read() + timedelta(seconds=seconds)
        advance = self._current = Advance(to_ahead, seconds, jobs_ran_at=offset.now())
        self._hurry(True)
        try:
            with closing(await asyncio.to_thread(DatabaseClock, self._parts.database_url)) as database:
                await _Walk(self._parts, database, advance).run()
        finally:
            self._hurry(False)
            self._current = None
        logger.info("The test clock is at %s after %d stops.", written(offset.now()), len(advance.stops))
        return advance

    def _hurry(self, is_hurried: bool) -> None:
        """Let no batch wait for more messages: each stop would take as long as that."""
        for mapping in self._parts.mappings:
            mapping.is_hurried = is_hurried


class _Walk:
    """One advance over one connection to the database."""

    def __init__(self, parts: StackParts, database: DatabaseClock, advance: Advance) -> None:
        self._parts = parts
        self._database = database
        self._advance = advance
        self._gateway: dict[str, Any] = {}

    async def run(self) -> None:
        """Stop at everything that is due up to the target, and end there."""
        await self._settle()
        for _ in range(STOPS_MAX):
            if (stop := await self._next_stop()) is None:
                break
            self._advance.stops.append(Stop(stop.at, stop.what))
            await self._move_to(timedelta(seconds=stop.at + TOGETHER_SECONDS - time.time()))
            await self._work(stop.is_job)
        await self._move_to(self._advance.to_ahead)
        await self._work(is_job=self._advance.seconds > 0)

    async def _next_stop(self) -> Due | None:
        now = self._parts.offset.now()
        found = await asyncio.to_thread(due.next_in_database, self._database.connection)
        if (next_at := self._gateway.get("next_at")) is not None:
            found.append(Due(next_at, "gateway", False))
        found.append(Due(self._advance.jobs_ran_at + JOBS_AT_LEAST_EVERY_SECONDS, "jobs", True))
        ahead = [each for each in found if now < each.at <= self._advance.target]
        return min(ahead, default=None)

    async def _move_to(self, wanted: timedelta) -> None:
        """Let the stack be ahead by this much, but by no more than at the end and by no less than it is."""
        before = self._parts.offset.read()
        ahead = max(before, min(wanted, self._advance.to_ahead))
        # Processes first: a batch takes over the database's time, and must not then be ahead of itself.
        self._parts.offset.write(ahead)
        try:
            await asyncio.to_thread(self._database.set_ahead, ahead)
        except BaseException:
            self._parts.offset.write(before)
            raise

    async def _work(self, is_job: bool) -> None:
        """Let the stack do what is due now."""
        await self._settle()
        is_long_ago = self._parts.offset.now() - self._advance.jobs_ran_at >= JOBS_AT_LEAST_EVERY_SECONDS
        if is_job or is_long_ago or await asyncio.to_thread(due.are_jobs_due, self._database.connection):
            self._advance.jobs_ran_at = self._parts.offset.now()
            await self._run_jobs()
            await self._settle()

    async def _run_jobs(self) -> None:
        await asyncio.gather(*(self._fire(schedule) for schedule in self._parts.schedules))

    async def _fire(self, schedule: Schedule) -> None:
        event = schedule_event(schedule.event, self._parts.region)
        try:
            result = await self._parts.invoker.invoke(schedule.function, event, wait_seconds_max=SETTLE_SECONDS_MAX)
        except InvokeError as error:
            logger.warning("The schedule %s could not fire: %s", schedule.event.name, error)
            return
        if result.function_error is not None:
            logger.warning("%s failed: %s", schedule.function, result.payload.decode(errors="replace")[:500])

    async def _settle(self) -> None:
        """Wait until nothing is on its way."""
        give_up_at = time.monotonic() + (SETTLE_SECONDS_MAX if self._advance.is_settled else SETTLE_AGAIN_SECONDS_MAX)
        await asyncio.to_thread(due.wake_relay, self._database.connection)
        quiet_looks = 0
        while quiet_looks < QUIET_LOOKS:
            quiet_looks = quiet_looks + 1 if await self._is_quiet() else 0
            if time.monotonic() > give_up_at:
                self._advance.is_settled = False
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _is_quiet(self) -> bool:
        if not all(mapping.is_idle for mapping in self._parts.mappings):
            return False
        self._gateway = await asyncio.to_thread(_settle_gateway, self._parts.gateway_url)
        if self._gateway.get("sending"):
            return False
        if await asyncio.to_thread(due.are_messages_due, self._database.connection):
            return False
        return not self._parts.worker_queues or await self._are_workers_idle()

    async def _are_workers_idle(self) -> bool:
        try:
            depths = await AmqpQueueDepths(self._parts.broker_url).read(self._parts.worker_queues)
        except BrokerUnavailable:
            return False
        if any(depths.values()):
            return False
        return not await asyncio.to_thread(due.is_work_in_hand, self._database.connection)


def read_seconds(body: bytes) -> float:
    """Return the seconds of a request to advance. Raises ProblemError (400, 422)."""
    try:
        order = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, 'The body is not JSON: send {"seconds": 3600}.') from error
    seconds = order.get("seconds") if isinstance(order, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise ProblemError(422, 'seconds must be a number, as in {"seconds": 3600}.', field="seconds")
    if not 0 <= seconds <= SECONDS_MAX:
        sentence = f"seconds must be from 0 to {SECONDS_MAX} (366 days): time does not go back."
        raise ProblemError(422, sentence, field="seconds")
    return seconds


def written(moment: float) -> str:
    """Return the RFC 3339 time, in UTC with milliseconds, of a time in seconds since 1970."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def jobs_schedules(functions: Iterable[FunctionDefinition]) -> list[Schedule]:
    """Return the schedules that an advance fires: all but that of the relay, which runs all the time."""
    return [
        Schedule(function.logical_id, event)
        for function in functions
        for event in function.schedules
        if event.enabled and function.logical_id != RELAY
    ]


def _settle_gateway(url: str) -> dict[str, Any]:
    """Let the simulated gateway decide what is due; return when it decides next and how many notices it sends."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=GATEWAY_SECONDS_MAX)
    try:
        connection.request("POST", "/_settle")
        answer: dict[str, Any] = orjson.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError):
        # A gateway that is down decides nothing. It makes up for it when it is back.
        return {}
    finally:
        connection.close()
    return answer


def _answer(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(200, b"content-type: application/json\r\n", orjson.dumps(body))
