"""The metrics of a running stack, where an operator finds them: in the log of the jobs function."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit.live import Merchant, eventually, merchant
from local.testkit.servers import Broker, private_settings
from local.testkit.stacks import running_stack
from paybridge.outbox.queues import all_queues
from tests.support.metrics import of, read_line
from tests.support.prometheus import parse

pytestmark = pytest.mark.e2e

OF_JOBS = (
    "CircuitOpen",
    "DeadLetters",
    "OpenOperations",
    "OutboxAge",
    "OutboxDue",
    "PartitionDaysLeft",
    "StuckPayments",
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, shared_broker: Broker | None) -> Iterator[Stack]:
    """A stack of the module's own: payments of other tests would count too, also those that settle later."""
    settings = private_settings(tmp_path_factory.mktemp("metrics"))
    with running_stack(settings, shared_broker) as running:
        yield running


@pytest.fixture(scope="module")
def demo(stack: Stack) -> Iterator[Merchant]:
    with merchant(stack, DEMO_API_KEY) as one:
        yield one


def emitted_by_jobs(stack: Stack) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Return names and dimensions of the metrics that the jobs have emitted."""
    lines = stack.processes.log_of("JobsFunction").read_text(encoding="utf-8").splitlines()
    metrics = [json.loads(line) for line in lines if '"_aws"' in line]
    return {(name, dimensions) for line in metrics for name, dimensions, _ in read_line(line)}


def scraped(stack: Stack) -> dict[str, float]:
    """Return the samples of `/metrics` without labels, as a scraper without a key finds them."""
    answer = httpx.get(f"{stack.urls.api}/metrics", trust_env=False, timeout=30)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {name: metric.samples.get(frozenset(), 0.0) for name, metric in parse(answer.text).items()}


def test_the_counters_grow_with_what_payments_did(stack: Stack, demo: Merchant) -> None:
    before = scraped(stack)
    for method in ("tok_success", "tok_decline", "tok_flaky"):
        payment_id = demo.pay(payment_method=method, webhook_url=f"{stack.urls.sink}/ok/metrics")
        eventually(lambda id_=payment_id: demo.settled(id_), method)  # type: ignore[misc]

    def grown() -> dict[str, float]:
        now = scraped(stack)
        return {name: now[name] - before[name] for name in now if name.startswith("payment_processor_")}

    expected = {
        # Each payment once, and the flaky one twice more.
        "payment_processor_messages_consumed_total": 5,
        "payment_processor_payments_successful_total": 2,
        "payment_processor_payments_failed_total": 1,
        "payment_processor_retries_total": 2,
    }
    eventually(lambda: grown() == expected, f"{expected}")


def test_the_jobs_tell_of_the_outbox_and_of_every_queue(stack: Stack) -> None:
    expected = {(name, of("local")) for name in OF_JOBS}
    expected |= {("QueueDepth", of("local", Queue=queue)) for queue in all_queues(shards=1)}
    eventually(
        lambda: emitted_by_jobs(stack) == expected, "the metrics of the jobs, which run as soon as the stack does"
    )
