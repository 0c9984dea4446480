"""The rivals of the whole stack, from `POST /api/v1/payments` to the signed webhook, on shared servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.rivals.processes import CELERY_WORKER, NAIVE_CONSUMER, START_SECONDS_MAX, Rival, rival
from local.servers.processes import free_port


@dataclass(frozen=True, slots=True)
class RivalStack:
    """A complete rival. `start` starts its processes, given the port of its API."""

    name: str
    key: str
    start: Callable[[Rival, int], None]


@contextmanager
def running(
    stack: RivalStack, folder: Path, database_url: str, amqp_url: str, gateway_url: str
) -> Iterator[tuple[Rival, str]]:
    """Start the rival and yield it with the URL of its API.

    The database is the rival's alone. The virtual host has our queues `payments.new` and `webhooks` with our policies.
    """
    with rival(folder, database_url, amqp_url, gateway_url) as one:
        port = free_port()
        stack.start(one, port)
        yield one, f"http://127.0.0.1:{port}"


def _start_naive(one: Rival, port: int) -> None:
    one.start("relay", "-m", "bench.rivals.naive.relay")
    one.start("webhooks", "-m", "bench.rivals.naive.webhooks")
    one.start("consumer", *NAIVE_CONSUMER)
    _start_api(one, port, "bench.rivals.naive.api:served", "--factory")
    for queue in ("payments.new", "webhooks"):
        one.wait_for_consumer(queue)


def _start_fast_stream(one: Rival, port: int) -> None:
    one.start("relay", "-m", "bench.rivals.fast_stream.relay")
    one.start("worker", "-m", "bench.rivals.fast_stream.worker")
    _start_api(one, port, "bench.rivals.fast_stream.api:app")
    for queue in ("payments.new", "webhooks"):
        one.wait_for_consumer(queue)


def _start_celery(one: Rival, port: int) -> None:
    one.start("worker", *CELERY_WORKER)
    _start_api(one, port, "bench.rivals.celery_tasks.api:app")
    one.wait_for_consumer("celery")


def _start_api(one: Rival, port: int, *application: str) -> None:
    """Start uvicorn, which uses uvloop and httptools because they are installed."""
    one.start("api", "-m", "uvicorn", *application, "--port", str(port), "--log-level", "warning", "--no-access-log")
    one.processes.wait_until_ready(one.processes.children[-1], lambda: _is_healthy(port), START_SECONDS_MAX)


def _is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


NAIVE = RivalStack("naive: ORM, one by one", "naive", _start_naive)
FAST_STREAM = RivalStack("FastStream, asyncpg, batch outbox", "fast_stream", _start_fast_stream)
CELERY = RivalStack("Celery, dual write", "celery", _start_celery)
