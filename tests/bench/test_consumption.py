"""The rivals of `consume` really work: every preloaded payment is charged once and settled with its event."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.rivals import consumption, processes
from local.errors import LocalError
from local.testkit import servers
from local.testkit.local_servers import running_gateway

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("bench_environment")]

PAYMENTS = 20
Worker = Callable[[Path, str, str, str], AbstractContextManager[Callable[[], float]]]


@pytest.mark.parametrize("worker", [consumption.naive_consumer, consumption.celery_worker])
def test_every_payment_is_charged_once(
    worker: Worker,
    postgres_server: servers.Postgres,
    broker: servers.Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(consumption, "NAIVE_PAYMENTS", PAYMENTS)
    monkeypatch.setattr(consumption, "CELERY_PAYMENTS", PAYMENTS)
    url, log = postgres_server.fresh_database(migrated=False), tmp_path / "charges.jsonl"
    amqp_url = broker.fresh_vhost().amqp_url
    with running_gateway(log) as gateway_url, worker(tmp_path / "rival", url, amqp_url, gateway_url) as run:
        # A run asserts that all payments were settled, each with its event. Run twice, because the worker pauses.
        assert run() > 0
        assert run() > 0
    postgres_server.drop_database(url)
    charged = Counter(json.loads(line)["reference"] for line in log.read_text().splitlines())
    assert list(charged.values()) == [1] * (2 * PAYMENTS)


def test_a_missing_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PYTHON", tmp_path / "python")
    with pytest.raises(LocalError, match=r"\.venv-bench is missing"), processes.rival(tmp_path, "", "", ""):
        raise AssertionError("a rival without its environment")
