"""The environments of one function: started on demand, kept warm, never more than the function's concurrency."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from itertools import takewhile
from pathlib import Path

from infra.sam_template.definitions import FunctionDefinition
from local.lambda_host.environment import ExecutionEnvironment, Invocation
from local.lambda_host.model import InvocationResult, ThrottledError, failure

logger = logging.getLogger(__name__)

# Lambda starts an environment for every invocation that finds none free. On a machine with few cores each start takes a
# core for half a second, so another is started only when the first invocation in the queue has waited this long.
_PATIENCE_SECONDS = 0.02
# This many serve short requests best. More would start in the middle of a burst and take its processor time, however
# long the queue. An environment that has been busy for `_HELD_SECONDS` waits for something else than a core and does
# not count.
_ENVIRONMENTS_ENOUGH = 4 * (os.cpu_count() or 1)
_HELD_SECONDS = 0.5
# Cold starts at the same time. Each keeps a core busy.
_STARTING_MAX = 2
# Lambda gives initialization 10 s. Here it competes with every other process of the stack.
_INIT_SECONDS_MAX = 60.0


class FunctionPool:
    """Run the invocations of one function."""

    def __init__(
        self,
        definition: FunctionDefinition,
        *,
        region: str,
        logs_dir: Path,
        runtime_api: str,
        concurrency_max: int,
        environments: dict[str, tuple[FunctionPool, ExecutionEnvironment]],
    ) -> None:
        self.definition = definition
        self.concurrency_max = concurrency_max
        self._region = region
        self._logs_dir = logs_dir
        self._runtime_api = runtime_api
        self._directory = environments
        self._alive: set[ExecutionEnvironment] = set()
        self._starting: set[ExecutionEnvironment] = set()
        # The last one used is used next, so that its caches and connections stay fresh.
        self._idle: list[ExecutionEnvironment] = []
        # The waiting invocations, longest first, and since when on the loop's clock.
        self._waiting: deque[tuple[float, asyncio.Future[ExecutionEnvironment | InvocationResult]]] = deque()
        self._queue_timer: asyncio.TimerHandle | None = None
        # Since when each environment has been busy, the longest first.
        self._busy: dict[ExecutionEnvironment, float] = {}
        # Environments with old code, which end with their invocation.
        self._retired: set[ExecutionEnvironment] = set()
        # The first environment with new code, and what resolves once it has started or failed.
        self._candidate: tuple[ExecutionEnvironment, asyncio.Future[InvocationResult | None]] | None = None
        # Whether the newest code cannot start. Then the environments with the code before it go on alone.
        self._is_broken = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._closed = False

    async def invoke(
        self,
        payload: bytes,
        *,
        wait_seconds_max: float = 0.0,
        client_context: str | None = None,
        trace_id: str | None = None,
    ) -> InvocationResult:
        """Run one invocation. At the concurrency limit wait up to `wait_seconds_max` first.

        Raises ThrottledError if no environment became free in time.
        """
        at_limit = self._in_flight >= self.concurrency_max
        if at_limit and wait_seconds_max <= 0.0:
            raise ThrottledError("Rate Exceeded.")
        self._in_flight += 1
        try:
            environment = self._idle.pop() if self._idle else await self._wait(wait_seconds_max if at_limit else None)
            if isinstance(environment, InvocationResult):
                return environment
            deadline_ms = int((time.time() + self.definition.timeout_seconds) * 1_000)
            invocation = Invocation(payload, deadline_ms, client_context=client_context, trace_id=trace_id)
            environment.run(invocation)
            if environment in self._alive:
                self._busy[environment] = asyncio.get_running_loop().time()
            return await invocation.result
        finally:
            self._in_flight -= 1

    def warm(self) -> None:
        """Start one environment before the first invocation."""
        if not self._alive:
            self._grow()

    @property
    def is_in_use(self) -> bool:
        """Return whether there is an environment. Without one the next invocation starts the present code."""
        return bool(self._alive)

    async def replace(self) -> InvocationResult | None:
        """Replace all environments by new ones, which have the present code, between their invocations.

        A new one starts first. If it cannot, the others stay, and this returns its error. Call it again only when it
        has returned.
        """
        assert self._candidate is None
        started: asyncio.Future[InvocationResult | None] = asyncio.get_running_loop().create_future()
        self._candidate = self._begin(), started
        return await started

    def ready(self, environment: ExecutionEnvironment) -> None:
        """Give work to an environment that has started, or has finished its invocation."""
        if environment in self._starting:
            self._starting.discard(environment)
            # Nothing starts with broken code while others serve, so this one shows that the code is well again.
            self._is_broken = False
        self._busy.pop(environment, None)
        if environment in self._retired:
            environment.kill()
            return
        if self._candidate is not None and self._candidate[0] is environment:
            self._retire_others()
        waiter = self._next_waiter()
        if waiter is None:
            self._idle.append(environment)
        else:
            waiter.set_result(environment)

    def close(self) -> None:
        """Kill every environment of the function and start no more."""
        self._closed = True
        for environment in self._alive:
            environment.kill()
        for _, waiter in self._waiting:
            waiter.cancel()
        if self._candidate is not None:
            self._candidate[1].cancel()
        if self._queue_timer is not None:
            self._queue_timer.cancel()

    def _retire_others(self) -> None:
        """End every environment but the candidate: those at work after their invocation."""
        assert self._candidate is not None
        candidate, started = self._candidate
        self._candidate, self._is_broken = None, False
        self._retired = self._alive - {candidate}
        for environment in self._idle:
            environment.kill()
        self._idle.clear()
        started.set_result(None)

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, wait_seconds_max: float | None) -> ExecutionEnvironment | InvocationResult:
        """Wait for a free environment. Returns it, or the failure of one that could not start."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[ExecutionEnvironment | InvocationResult] = loop.create_future()
        self._waiting.append((loop.time(), waiter))
        if not self._alive:
            self._grow()
        if self._queue_timer is None:
            self._queue_timer = loop.call_later(_PATIENCE_SECONDS, self._look_at_queue)
        given = False
        try:
            async with asyncio.timeout(wait_seconds_max):
                environment = await waiter
            given = True
            return environment
        except TimeoutError as error:
            raise ThrottledError("Rate Exceeded.") from error
        finally:
            if not given:
                self._withdraw(waiter)

    def _look_at_queue(self) -> None:
        """Start another environment if that is due, and check again while invocations wait."""
        self._queue_timer = None
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        if not self._waiting or self._closed:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        held = sum(1 for _ in takewhile(lambda since: now - since >= _HELD_SECONDS, self._busy.values()))
        # The starting environments are for the first invocations in the queue.
        is_unserved = len(self._waiting) > len(self._starting)
        if is_unserved and growth_is_due(len(self._alive) - held, now - self._waiting[0][0]):
            self._grow()
        self._queue_timer = loop.call_later(_PATIENCE_SECONDS, self._look_at_queue)

    def _withdraw(self, waiter: asyncio.Future[ExecutionEnvironment | InvocationResult]) -> None:
        """Withdraw an invocation. An environment that it got at the same moment goes to the next one."""
        if not waiter.done():
            waiter.cancel()
        elif not waiter.cancelled() and isinstance(environment := waiter.result(), ExecutionEnvironment):
            self.ready(environment)

    def _grow(self) -> None:
        serving = len(self._alive - self._retired)
        if self._closed or serving >= self.concurrency_max or len(self._starting) >= _STARTING_MAX:
            return
        if self._is_broken and serving:
            return
        self._begin()

    def _begin(self) -> ExecutionEnvironment:
        """Start an environment."""
        environment = ExecutionEnvironment(self.definition, self._region, self._logs_dir)
        self._alive.add(environment)
        self._starting.add(environment)
        self._directory[environment.id] = (self, environment)
        task = asyncio.create_task(self._life(environment))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return environment

    async def _life(self, environment: ExecutionEnvironment) -> None:
        """Run an environment from its start to its end."""
        loop = asyncio.get_running_loop()
        init_timer = loop.call_later(_INIT_SECONDS_MAX, self._init_timed_out, environment)
        try:
            await environment.start(self._runtime_api)
            await environment.watch()
        except OSError as error:
            environment.init_error = failure("Runtime.LaunchError", f"The environment cannot be started: {error}")
        finally:
            init_timer.cancel()
            environment.kill()
            self._alive.discard(environment)
            self._busy.pop(environment, None)
            del self._directory[environment.id]
            if environment in self._idle:
                self._idle.remove(environment)
            if environment in self._starting:
                self._starting.discard(environment)
                self._start_failed(environment)
            self._retired.discard(environment)

    def _init_timed_out(self, environment: ExecutionEnvironment) -> None:
        if environment in self._starting:
            message = f"Initialization timed out after {_INIT_SECONDS_MAX:.0f} seconds"
            environment.init_error = failure("Sandbox.Timedout", message)
            environment.kill()

    def _start_failed(self, environment: ExecutionEnvironment) -> None:
        """Fail the invocation that has waited longest. The next one starts another environment."""
        if self._closed or environment in self._retired:
            return
        error = environment.init_error or failure("Runtime.ExitError", "Runtime exited without providing a reason")
        if self._candidate is not None and self._candidate[0] is environment:
            started = self._candidate[1]
            self._candidate, self._is_broken = None, True
            started.set_result(error)
            return
        logger.warning("%s did not start: %s", self.definition.logical_id, error.payload.decode(errors="replace")[:500])
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(error)

    def _next_waiter(self) -> asyncio.Future[ExecutionEnvironment | InvocationResult] | None:
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None


def growth_is_due(serving: int, queued_seconds: float, enough: int = _ENVIRONMENTS_ENOUGH) -> bool:
    """Return whether another environment would help an invocation that has waited for `queued_seconds`.

    `serving` counts the environments that are not held by a long invocation.
    """
    return queued_seconds >= _PATIENCE_SECONDS and serving < enough
