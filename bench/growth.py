"""Measure each hot path with ten thousand, a hundred thousand and a million payments kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from unittest.mock import patch
from uuid import UUID

from api.app import create_app
from api.handler import ApiHandler
from bench import kept
from bench.consume import wired
from bench.create import ORDER
from bench.kept import Kept
from bench.logs import nowhere
from bench.relay import empty_queue, relay_ours
from bench.results import Figure, Goal, Measure, interleaved, number_text
from bench.servers import Servers, open_database
from consumer import handler as consumer
from local.testkit.api import (
    Answer,
    ApiClient,
    api_services,
    demo_merchant_id,
    event_loop,
    register_demo_merchants,
)
from local.testkit.local_servers import running_gateway
from local.testkit.payments import new_payment
from local.testkit.rmq import outbox_bodies, rmq_event
from paybridge import wiring
from paybridge.core.cursor import encode_cursor
from paybridge.database.database import Database, Statement
from paybridge.observability.logging import logger as make_logger
from paybridge.payments.domain.query import PaymentFilters

SIZES = {"10 thousand": 10_000, "100 thousand": 100_000, "1 million": 1_000_000}
SMALLEST, *LARGER = SIZES
# More and shorter rounds than elsewhere: the machine varies more from minute to minute than the sizes do.
ROUNDS = 5
SECONDS = 0.3
WARM_UP_REQUESTS = 20
RELAYED_ROWS = 3_000
CONSUMED_PAYMENTS = 500
GOAL_SHARE = 0.85
# Kept events and webhooks are never read here, so short ones will do.
KEPT_BODY = '{"specversion": "1.0", "data": "' + "x" * 260 + '"}'

_PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL AND exchange IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Size:
    """A database with its kept payments, and an API client of their merchant."""

    url: str
    database: Database
    merchant_id: UUID
    kept: Kept
    client: ApiClient

    def path(self) -> str:
        """Return the path of a random kept payment."""
        return f"/api/v1/payments/{self.kept.payment_id(random.randint(1, self.kept.count))}"  # noqa: S311 -- not a secret.

    def page_in_the_middle(self) -> dict[str, str]:
        """Return the query for the page after the payment in the middle."""
        scope = f"{self.merchant_id} {PaymentFilters()}"
        return {"cursor": encode_cursor(self.kept.payment_id(self.kept.count // 2), scope)}


def measure(servers: Servers) -> Measure:
    """Run the sizes in turn for each path. Compare their rates with that of the smallest."""
    amqp_url = servers.broker.fresh_vhost().amqp_url
    figures: list[Figure] = []
    with ExitStack() as stack:
        stack.enter_context(event_loop())
        sizes = {name: stack.enter_context(_size(servers, count)) for name, count in SIZES.items()}
        gateway_url = stack.enter_context(running_gateway(servers.folder / "growth-charges.jsonl"))
        stack.enter_context(wired(sizes[SMALLEST].database, gateway_url))
        for name, run in _paths(amqp_url).items():
            rates = interleaved(_quiet, {label: partial(run, size) for label, size in sizes.items()}, "", ROUNDS)
            found = ", ".join(number_text(median(values)) for values in rates.values())
            servers.say(f"{name}: {found} per second with {', '.join(SIZES)} kept")
            figures.extend(_figures(name, rates))
    # The shares come first, because they have goals.
    figures.sort(key=lambda figure: figure.goal is None)
    return Measure("growth", figures, [f"Each share is of the rate with {SMALLEST} payments kept."])


def _quiet(_: str) -> None:
    """Print nothing: seven paths of fifteen rounds would hide the other measures."""


def _figures(path: str, rates: dict[str, tuple[float, ...]]) -> Iterator[Figure]:
    for label in LARGER:
        shares = tuple(rate / least for rate, least in zip(rates[label], rates[SMALLEST], strict=True))
        yield Figure(f"{path}, {label}", "times", shares, Goal(GOAL_SHARE), panel="share")
    for label, values in rates.items():
        yield Figure(f"{path}, {label}", "per second", values, panel=path, is_detail=True)


@contextmanager
def _size(servers: Servers, count: int) -> Iterator[Size]:
    url = servers.postgres.fresh_database()
    with open_database(url) as database:
        register_demo_merchants(database)
        merchant_id = demo_merchant_id(database)
        started = time.monotonic()
        filled = kept.fill(url, merchant_id, count, KEPT_BODY)
        servers.say(f"{count:,} payments written in {time.monotonic() - started:.0f} s")
        logger = make_logger("api", nowhere())
        client = ApiClient(ApiHandler(create_app(api_services(database), logger), logger))
        yield Size(url, database, merchant_id, filled, client)
    servers.postgres.drop_database(url)


def _paths(amqp_url: str) -> dict[str, Callable[[Size], float]]:
    return {
        "create": lambda size: _requests(lambda: size.client.create(ORDER), 202),
        "read": lambda size: _requests(lambda: size.client.get(size.path()), 200),
        "timeline": lambda size: _requests(lambda: size.client.get(f"{size.path()}/events"), 200),
        "list": lambda size: _requests(lambda: size.client.get("/api/v1/payments"), 200),
        "list, middle page": _list_from_the_middle,
        "consume": _consume,
        "relay": lambda size: _relay(size, amqp_url),
    }


def _list_from_the_middle(size: Size) -> float:
    query = size.page_in_the_middle()
    return _requests(lambda: size.client.get("/api/v1/payments", query=query), 200)


def _requests(request: Callable[[], Answer], status: int) -> float:
    """Return requests per second over SECONDS, after a warm-up."""
    for _ in range(WARM_UP_REQUESTS):
        _expect(request(), status)
    started, count = time.perf_counter(), 0
    while (seconds := time.perf_counter() - started) < SECONDS:
        _expect(request(), status)
        count += 1
    return count / seconds


def _expect(answer: Answer, status: int) -> None:
    assert answer.status == status, answer.body


def _consume(size: Size) -> float:
    payments = [new_payment(size.database, size.merchant_id) for _ in range(CONSUMED_PAYMENTS)]
    batch = rmq_event("payments.new", outbox_bodies(size.database, payments, "payment.created"))
    with patch.object(wiring, "database", lambda: size.database):
        started = time.perf_counter()
        done = consumer.handler(batch, None)  # type: ignore[arg-type]
        seconds = time.perf_counter() - started
    assert done["processed"] == CONSUMED_PAYMENTS, done
    return CONSUMED_PAYMENTS / seconds


def _relay(size: Size, amqp_url: str) -> float:
    # Do not relay the rows that other paths have left in the outbox.
    size.database.run(_PUBLISH_ALL)
    kept.add_due(size.url, RELAYED_ROWS)
    started = time.perf_counter()
    wiring.run(relay_ours(size.database, amqp_url))
    seconds = time.perf_counter() - started
    arrived = wiring.run(empty_queue(amqp_url))
    assert arrived == RELAYED_ROWS, f"{arrived} of {RELAYED_ROWS} messages arrived"
    return RELAYED_ROWS / seconds
