"""POST /payments through the API function in process, beside pgbench writing the same three rows."""

from __future__ import annotations

import time
from os import devnull
from pathlib import Path

from api.app import create_app
from api.handler import ApiHandler
from bench.results import Figure, Goal, Measure, interleaved
from bench.rivals import pgbench
from bench.servers import Servers, open_database
from paybridge.observability.logging import logger as make_logger
from tests.support.api import ApiClient, api_services, event_loop, register_demo_merchants

SECONDS = 3.0
WARM_UP_REQUESTS = 200
RATIO_GOAL = 0.5
ORDER = {
    "amount": "100.50",
    "currency": "RUB",
    "description": "Order #123",
    "metadata": {"order_id": "123"},
    "webhook_url": "https://example.com/webhook",
}


def measure(servers: Servers) -> Measure:
    """One client each; every request has an API key, an Idempotency-Key of its own and a log line."""
    url = servers.postgres.fresh_database()
    with open_database(url) as database, event_loop(), Path(devnull).open("w") as nowhere:
        register_demo_merchants(database)
        logger = make_logger("api", nowhere)
        client = ApiClient(ApiHandler(create_app(api_services(database), logger), logger))
        _post(client, requests=WARM_UP_REQUESTS)
        contenders = {"POST /payments": lambda: _post(client)}
        program = pgbench.find()
        if program is not None:
            rival = pgbench.ThreeInserts(program, url, database, servers.folder)
            contenders["pgbench, three inserts"] = lambda: rival.run(int(SECONDS))
        values = interleaved(servers.say, contenders, "per second")
    return _measure(values)


def _measure(values: dict[str, tuple[float, ...]]) -> Measure:
    ours, *rivals = values.items()
    figures = [Figure(ours[0], "payments/s", ours[1])]
    if not rivals:
        return Measure("create", figures, ["pgbench was not found: there is nothing to compare with."])
    (name, theirs) = rivals[0]
    ratios = tuple(one / other for one, other in zip(ours[1], theirs, strict=True))
    figures.append(Figure(name, "transactions/s", theirs, is_rival=True))
    figures.append(Figure("ratio to pgbench", "times", ratios, Goal(RATIO_GOAL)))
    return Measure("create", figures)


def _post(client: ApiClient, requests: int | None = None) -> float:
    """Payments per second over `requests`, or over SECONDS."""
    started, count = time.perf_counter(), 0
    while count < requests if requests is not None else time.perf_counter() - started < SECONDS:
        answer = client.create(ORDER)
        assert answer.status == 202, answer.body
        count += 1
    return count / (time.perf_counter() - started)
