"""The rivals of the whole stack really work: each payment is charged once, settled, and delivered by one webhook."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from bench.client import order, post_all
from bench.rivals.stacks import CELERY, FAST_STREAM, NAIVE, RivalStack, running
from local.servers import postgres
from local.testkit import servers
from local.testkit.api import MERCHANT_KEY
from local.testkit.local_servers import running_gateway, running_sink

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("bench_environment")]

PAYMENTS = 12
SETTLE_SECONDS_MAX = 30.0


@pytest.mark.parametrize("stack", [NAIVE, FAST_STREAM, CELERY], ids=lambda stack: stack.key)
def test_every_payment_is_charged_and_delivered_once(
    stack: RivalStack, postgres_server: servers.Postgres, broker: servers.Broker, tmp_path: Path
) -> None:
    url, log, vhost = postgres_server.fresh_database(migrated=False), tmp_path / "charges.jsonl", broker.fresh_vhost()
    with (
        running_gateway(log) as gateway_url,
        running_sink() as sink_url,
        running(stack, tmp_path / "rival", url, vhost.amqp_url, gateway_url) as (_, api_url),
    ):
        asyncio.run(post_all(api_url, f"{sink_url}/ok/rival", PAYMENTS, connections=4))
        received = _received(sink_url)
        _assert_keys_are_idempotent(api_url)
    assert Counter(one["verified"] for one in received) == {True: PAYMENTS}
    charged = Counter(json.loads(line)["reference"] for line in log.read_text().splitlines())
    assert [charged[one["body"]["data"]["payment_id"]] for one in received] == [1] * PAYMENTS
    with closing(postgres.connect(url)) as connection:
        delivered = (
            "SELECT count(*) FROM payments p JOIN deliveries d ON d.payment_id = p.id WHERE p.status = 'succeeded'"
        )
        assert connection.run(delivered)[0][0] == PAYMENTS
    postgres_server.drop_database(url)


def _received(sink_url: str) -> list[dict[str, object]]:
    """Return the webhooks that the sink has received half a second after the last one, so that duplicates show."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while len(_listed(sink_url)) < PAYMENTS and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    return _listed(sink_url)


def _listed(sink_url: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{sink_url}/received", trust_env=False, timeout=30)
    received: list[dict[str, object]] = answer.raise_for_status().json()
    return received


def _assert_keys_are_idempotent(api_url: str) -> None:
    body = {**order(""), "webhook_url": None}

    def post(**changes: str) -> httpx.Response:
        headers = {"X-API-Key": MERCHANT_KEY, "Idempotency-Key": "once"}
        return httpx.post(
            f"{api_url}/api/v1/payments", json={**body, **changes}, headers=headers, trust_env=False, timeout=30
        )

    assert post().json() == post().json()
    assert post(amount="7.00").status_code == 422
