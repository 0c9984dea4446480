"""The Lambda host: all functions of a template, invoked in this process or over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Self

from infra.sam_template.definitions import FunctionDefinition, RetryPolicy, Template
from local.lambda_host.code import code_folders
from local.lambda_host.environment import ExecutionEnvironment
from local.lambda_host.events import EventQueue
from local.lambda_host.model import (
    PAYLOAD_BYTES_MAX,
    FunctionNotFoundError,
    InvocationResult,
    PayloadTooLargeError,
)
from local.lambda_host.pool import FunctionPool
from local.lambda_host.server import LambdaServer

_QUALIFIER = re.compile(r":(live|\$LATEST|\d+)$")
# On AWS functions without a reserved concurrency share the account's 1,000. A laptop has no room for that.
UNRESERVED_CONCURRENCY = 10
# Each start keeps a core busy.
_RELOADED_AT_ONCE = 2


class LambdaHost:
    """Start the Runtime API and run functions, as the `Invoker` of this process.

    `port` 0 takes any free port. Use it as an asynchronous context manager: leaving it kills every environment.
    """

    def __init__(
        self,
        template: Template,
        *,
        logs_dir: Path,
        port: int = 0,
        concurrency_max: int | None = None,
        event_queue: EventQueue | None = None,
    ) -> None:
        self.template = template
        self.port = port
        self._logs_dir = logs_dir
        self._concurrency_max = concurrency_max
        self._events = event_queue or EventQueue()
        self._environments: dict[str, tuple[FunctionPool, ExecutionEnvironment]] = {}
        self._pools: dict[str, FunctionPool] = {}
        self._by_name: dict[str, FunctionPool] = {}
        self._server = LambdaServer(self, self._environments)

    async def __aenter__(self) -> Self:
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        self.port = await self._server.start(self.port)
        for definition in self.template.functions.values():
            limit = definition.reserved_concurrency
            limit = UNRESERVED_CONCURRENCY if limit is None else limit
            pool = FunctionPool(
                definition,
                region=self.template.region,
                logs_dir=self._logs_dir,
                runtime_api=f"127.0.0.1:{self.port}",
                concurrency_max=limit if self._concurrency_max is None else min(limit, self._concurrency_max),
                environments=self._environments,
            )
            self._pools[definition.logical_id] = pool
            self._by_name.update({definition.logical_id: pool, definition.name: pool, definition.arn: pool})
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.close()
        await self._events.close()
        for pool in self._pools.values():
            await pool.wait_closed()
        await self._server.close()

    def warm(self) -> None:
        """Start one environment of every function that has events, so that its first event finds it ready."""
        for pool in self._pools.values():
            if pool.concurrency_max > 0 and pool.definition.has_events:
                pool.warm()

    def functions_of(self, changed: Collection[Path]) -> list[FunctionDefinition]:
        """Return the functions whose code has one of these files."""
        functions = [pool.definition for pool in self._pools.values()]
        return [
            function
            for function in functions
            if any(path.is_relative_to(folder) for path in changed for folder in code_folders(function))
        ]

    async def reload(self, functions: Iterable[FunctionDefinition]) -> dict[str, InvocationResult | None]:
        """Replace the environments of functions whose code has changed, between their invocations.

        Return by logical id the error of each that keeps its old code, because its new code cannot start, and None for
        the others. Functions that do not run are left out.
        """
        few = asyncio.Semaphore(_RELOADED_AT_ONCE)

        async def replace(function: FunctionDefinition) -> InvocationResult | None:
            async with few:
                return await self._pools[function.logical_id].replace()

        replaced = [function for function in functions if self._pools[function.logical_id].is_in_use]
        results = await asyncio.gather(*map(replace, replaced))
        return {function.logical_id: result for function, result in zip(replaced, results, strict=True)}

    async def invoke(
        self,
        function_name: str,
        payload: bytes,
        *,
        wait_seconds_max: float = 0.0,
        client_context: str | None = None,
        trace_id: str | None = None,
    ) -> InvocationResult:
        """Run a function by its logical id, name or ARN and wait for its answer. Raises InvokeError."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLargeError(f"Request must be smaller than {PAYLOAD_BYTES_MAX} bytes.")
        return await self._pool(function_name).invoke(
            payload, wait_seconds_max=wait_seconds_max, client_context=client_context, trace_id=trace_id
        )

    async def invoke_event(self, function_name: str, payload: bytes, retry_policy: RetryPolicy | None = None) -> None:
        """Queue an event. The function's own EventInvokeConfig wins over the policy of the event's source."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLargeError(f"Request must be smaller than {PAYLOAD_BYTES_MAX} bytes.")
        pool = self._pool(function_name)
        self._events.put(pool, payload, pool.definition.retry_policy or retry_policy or RetryPolicy())

    def _pool(self, function_name: str) -> FunctionPool:
        # By name or ARN. There is only one version, and every alias names it.
        name = _QUALIFIER.sub("", function_name)
        pool = self._by_name.get(name) or self._by_name.get(name.rpartition(":")[2])
        if pool is None:
            raise FunctionNotFoundError(f"Function not found: {function_name}")
        return pool
