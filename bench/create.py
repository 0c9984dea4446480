"""Call POST /payments in process. Compare it with pgbench and an ORM that write the same three rows."""

from __future__ import annotations

import time

from api.app import create_app
from api.handler import ApiHandler
from bench.logs import nowhere
from bench.results import Figure, Goal, Measure, interleaved, ratio
from bench.rivals import pgbench
from bench.rivals.naive.in_process import naive_client
from bench.servers import Servers, open_database
from local.testkit.api import ApiClient, api_services, event_loop, register_demo_merchants
from paybridge.observability.logging import logger as make_logger

SECONDS = 3.0
WARM_UP_REQUESTS = 200
RATIO_GOAL = 0.6
OURS, PGBENCH, ORM = "POST /payments", "pgbench, three inserts", "FastAPI, ORM, pg8000"
ORDER = {
    "amount": "100.50",
    "currency": "RUB",
    "description": "Order #123",
    "metadata": {"order_id": "123"},
    "webhook_url": "https://example.com/webhook",
}


def measure(servers: Servers) -> Measure:
    """Measure one client each. Every request has an API key, a new Idempotency-Key and a log line."""
    url, naive_url = servers.postgres.fresh_database(), servers.postgres.fresh_database(migrated=False)
    with (
        open_database(url) as database,
        event_loop(),
        naive_client(naive_url) as naive,
    ):
        register_demo_merchants(database)
        logger = make_logger("api", nowhere())
        client = ApiClient(ApiHandler(create_app(api_services(database), logger), logger))
        for contender in (client, naive):
            _post(contender, requests=WARM_UP_REQUESTS)
        contenders = {OURS: lambda: _post(client), ORM: lambda: _post(naive)}
        program = pgbench.find()
        if program is not None:
            rival = pgbench.ThreeInserts(program, url, database, servers.folder)
            contenders[PGBENCH] = lambda: rival.run(int(SECONDS))
        values = interleaved(servers.say, contenders, "per second")
    return _measure(values)


def _measure(values: dict[str, tuple[float, ...]]) -> Measure:
    figures = [Figure(OURS, "payments/s", values[OURS]), Figure(ORM, "payments/s", values[ORM], is_rival=True)]
    if PGBENCH not in values:
        return Measure("create", figures, ["pgbench was not found and was left out."])
    figures.append(Figure(PGBENCH, "transactions/s", values[PGBENCH], is_rival=True))
    figures.append(ratio("ratio to pgbench", values[OURS], values[PGBENCH], Goal(RATIO_GOAL)))
    return Measure("create", figures)


def _post(client: ApiClient, requests: int | None = None) -> float:
    """Post `requests` payments, or as many as fit into SECONDS. Return payments per second."""
    started, count = time.perf_counter(), 0
    while count < requests if requests is not None else time.perf_counter() - started < SECONDS:
        answer = client.create(ORDER)
        assert answer.status == 202, answer.body
        count += 1
    return count / (time.perf_counter() - started)
