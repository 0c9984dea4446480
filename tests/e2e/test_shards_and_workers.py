"""The whole stack with shards, once by a Lambda mapping for each and once by workers that take from all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit import live
from local.testkit.servers import Broker, private_settings
from local.testkit.stacks import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

PAYMENTS = 20


@pytest.fixture(params=[0, 1], ids=["mappings", "workers"])
def sharded(request: pytest.FixtureRequest, tmp_path: Path, shared_broker: Broker | None) -> Iterator[Stack]:
    settings = replace(
        private_settings(tmp_path),
        gateway_success_rate=1.0,
        gateway_latency_seconds_min=0.0,
        gateway_latency_seconds_max=0.0,
        workers=request.param,
        payment_shards=2,
    )
    with running_stack(settings, shared_broker) as stack:
        yield stack


def consumers(stack: Stack) -> dict[str, int]:
    """Return how many consumers each queue of new payments has."""
    url = f"{stack.urls.management}/api/queues/{quote(stack._vhost, safe='')}"
    found = httpx.get(url, trust_env=False, timeout=20).raise_for_status().json()
    return {queue["name"]: queue.get("consumers", 0) for queue in found if queue["name"].startswith("payments.new")}


def test_payments_go_by_every_shard_and_are_told_of(sharded: Stack) -> None:
    each = {"payments.new": 1, "payments.new.0": 1, "payments.new.1": 1}
    live.eventually(lambda: consumers(sharded) == each, "a consumer for each queue")
    with live.merchant(sharded, DEMO_API_KEY) as demo:
        payment_ids = [demo.pay(webhook_url=f"{sharded.urls.sink}/ok/shards") for _ in range(PAYMENTS)]
        for payment_id in payment_ids:
            assert demo.settled(payment_id)["status"] == "succeeded"
            assert len(live.charges(sharded.urls.gateway, payment_id)) == 1
            assert live.webhook(sharded.urls.sink, payment_id)["verified"]
    assert live.leaks(sharded.settings.logs_dir) == []
