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
    with rival(folder, database_url, amqp_url, gateway_url) as contender:
        port = free_port()
        stack.start(contender, port)
        yield contender, f"http://127.0.0.1:{port}"


def _start_naive(contender: Rival, port: int) -> None:
    contender.start("relay", "-m", "bench.rivals.naive.relay")
    contender.start("webhooks", "-m", "bench.rivals.naive.webhooks")
    contender.start("consumer", *NAIVE_CONSUMER)
    _start_api(contender, port, "bench.rivals.naive.api:served", "--factory")
    for queue in ("payments.new", "webhooks"):
        contender.wait_for_consumer(queue)


def _start_fast_stream(contender: Rival, port: int) -> None:
    contender.start("relay", "-m", "bench.rivals.fast_stream.relay")
    contender.start("worker", "-m", "bench.rivals.fast_stream.worker")
    _start_api(contender, port, "bench.rivals.fast_stream.api:app")
    for queue in ("payments.new", "webhooks"):
        contender.wait_for_consumer(queue)


def _start_celery(contender: Rival, port: int) -> None:
    contender.start("worker", *CELERY_WORKER)
    _start_api(contender, port, "bench.rivals.celery_tasks.api:app")
    contender.wait_for_consumer("celery")


def _start_api(contender: Rival, port: int, *application: str) -> None:
    """Start uvicorn, which uses uvloop and httptools because they are installed."""
    contender.start(
        "api", "-m", "uvicorn", *application, "--port", str(port), "--log-level", "warning", "--no-access-log"
    )
    contender.processes.wait_until_ready(contender.processes.children[-1], lambda: _is_healthy(port), START_SECONDS_MAX)


def _is_healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


NAIVE = RivalStack("naive: ORM, one by one", "naive", _start_naive)
FAST_STREAM = RivalStack("FastStream, asyncpg, batch outbox", "fast_stream", _start_fast_stream)
CELERY = RivalStack("Celery, dual write", "celery", _start_celery)
