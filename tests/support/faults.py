"""Breaking parts of a running stack, and what must hold afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import psutil

from local.servers import postgres
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.given_broker import rabbitmqctl
from local.testkit.live import Merchant

JOBS_EVERY_SECONDS = 3.0
# Less than any wait for a broker. What a busy machine takes for itself is measured before the fault, by `pay_timed`.
LONGER_SECONDS_MAX = 5


@contextmanager
def broker_away(stack: Stack) -> Iterator[None]:
    """The broker is stopped within the block."""
    stack.broker.stop()
    try:
        yield
    finally:
        stack.broker.start()


@contextmanager
def database_away(stack: Stack) -> Iterator[None]:
    """The database is stopped within the block."""
    stack.processes.stop_child("postgres")
    try:
        yield
    finally:
        postgres.start(stack.settings, stack.processes)


def environments(stack: Stack, function: str) -> list[psutil.Process]:
    """The processes that run `function` (api, relay, consumer, webhooks, jobs) now."""
    host = next(child.process for child in stack.processes.children if child.name == "bridge")
    return [process for process in host.children() if f"{function}.handler.handler" in process.cmdline()]


def kill_environments(stack: Stack, function: str) -> int:
    """Kill every process of `function`, and give their number."""
    found = environments(stack, function)
    for process in found:
        process.kill()
    psutil.wait_procs(found, timeout=10)
    return len(found)


def invoke(stack: Stack, function: str, event: dict[str, Any], kind: str = "RequestResponse") -> httpx.Response:
    """Invokes a function of the stack; of the kind `Event` it is not waited for."""
    url = f"{stack.settings.lambda_url}/2015-03-31/functions/paybridge-local-{function}/invocations"
    return httpx.post(url, json=event, headers={"X-Amz-Invocation-Type": kind}, trust_env=False, timeout=60)


@contextmanager
def jobs_often(stack: Stack) -> Iterator[None]:
    """The jobs run every few seconds within the block, where they would run each minute."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(JOBS_EVERY_SECONDS):
            invoke(stack, "jobs", {}, "Event")

    running = threading.Thread(target=run)
    running.start()
    try:
        yield
    finally:
        ended.set()
        running.join()


def pay_timed(demo: Merchant, count: int, **order: Any) -> tuple[list[str], float]:
    """The ids of payments that were accepted one after the other, and the seconds that the slowest answer took."""
    payment_ids, slowest_seconds = [], 0.0
    for _ in range(count):
        began = time.monotonic()
        payment_ids.append(demo.pay(**order))
        slowest_seconds = max(slowest_seconds, time.monotonic() - began)
    return payment_ids, slowest_seconds


def assert_each_is_charged_once_and_notified(
    stack: Stack, demo: Merchant, payment_ids: Iterable[str], seconds_max: float
) -> None:
    """Every payment succeeds, is charged once, and its outcome comes to the sink under one webhook id."""
    for payment_id in payment_ids:
        assert demo.settled(payment_id, seconds_max)["status"] == "succeeded"
        assert len(live.charges(stack.urls.gateway, payment_id)) == 1
        live.webhook(stack.urls.sink, payment_id, seconds_max)
        told = {(one["headers"]["webhook-id"], one["verified"]) for one in live.received(stack.urls.sink, payment_id)}
        assert [verified for _, verified in told] == [True]


def kill_host(stack: Stack) -> list[psutil.Process]:
    """Kill the process that runs the functions, schedules and queue mappings; gives the functions it had."""
    host = next(child.process for child in stack.processes.children if child.name == "bridge")
    functions = host.children(recursive=True)
    host.kill()
    stack.processes.stop_child("bridge")
    return functions


@contextmanager
def broker_alarm(stack: Stack) -> Iterator[None]:
    """The broker has a memory alarm within the block: it takes nothing from anybody who publishes."""
    rabbitmqctl(stack.broker, "set_vm_memory_high_watermark", "0")
    try:
        live.eventually(lambda: _alarm_is(stack, on=True), "the broker's alarm")
        yield
    finally:
        rabbitmqctl(stack.broker, "set_vm_memory_high_watermark", "0.4")
        live.eventually(lambda: _alarm_is(stack, on=False), "the end of the broker's alarm")


@contextmanager
def connections_limited(stack: Stack, spare: int, killed: str) -> Iterator[None]:
    """The database allows the functions only `spare` connections more than they have within the block.

    Those of the function that was `killed` before do not count: the database takes a moment to see that they ended.
    """
    with closing(postgres._superuser(stack.settings.postgres_port)) as superuser:
        query = "SELECT count(*), count(*) FILTER (WHERE application_name = :killed) FROM pg_stat_activity"

        def counts() -> tuple[int, int]:
            ((all_of_them, of_the_killed),) = superuser.run(
                f"{query} WHERE usename = :role", role=postgres.ROLE, killed=killed
            )
            return all_of_them, of_the_killed

        live.eventually(lambda: counts()[1] == 0, f"the end of the sessions of {killed}")
        open_now, _ = counts()
        superuser.run(f"ALTER ROLE {postgres.ROLE} CONNECTION LIMIT {open_now + spare}")
        try:
            yield
        finally:
            superuser.run(f"ALTER ROLE {postgres.ROLE} CONNECTION LIMIT -1")


def _alarm_is(stack: Stack, *, on: bool) -> bool:
    """Whether the broker says so. It says nothing of alarms in the first seconds after its start."""
    answer = httpx.get(f"{stack.urls.management}/api/nodes", trust_env=False, timeout=20)
    return all(node.get("mem_alarm") is on for node in answer.raise_for_status().json())
