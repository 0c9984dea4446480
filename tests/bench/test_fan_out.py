"""Both sides of `fan_out` really deliver: each event to each endpoint, signed, once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bench import fan_out
from bench.receivers import Counted, running_receivers
from bench.rivals import fan_out as rival
from local.testkit import servers
from local.testkit.api import WEBHOOK_SECRET

pytestmark = pytest.mark.integration


@pytest.fixture
def bench_servers(postgres_server: servers.Postgres, broker: servers.Broker, tmp_path: Path) -> Any:
    return SimpleNamespace(postgres=postgres_server, broker=broker, folder=tmp_path)


def test_our_worker_delivers_to_every_endpoint(bench_servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "DELIVERIES", 60)
    monkeypatch.setattr(fan_out, "MERCHANTS", 2)
    with running_receivers(10, WEBHOOK_SECRET) as receivers, fan_out._our_place(bench_servers, receivers) as place:
        # A run asserts what the receivers have got. Run twice, because the worker pauses.
        assert [fan_out._run(place, number) > 0 for number in (1, 10, 10)] == [True] * 3


@pytest.mark.usefixtures("bench_environment")
def test_the_rival_delivers_to_every_endpoint(bench_servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rival, "DELIVERIES", 30)
    monkeypatch.setattr(rival, "MERCHANTS", 2)
    with (
        running_receivers(3, WEBHOOK_SECRET) as receivers,
        rival.celery_fan_out(bench_servers, receivers, (1, 3)) as run,
    ):
        assert [run(number) > 0 for number in (1, 3, 3)] == [True] * 3


def test_receivers_tell_a_wrong_signature() -> None:
    with running_receivers(1, WEBHOOK_SECRET) as receivers:
        headers = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        answer = httpx.post(receivers.url(0, "x"), content=b"{}", headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 204
        counted = receivers.take()
        assert (counted.requests, counted.verified) == (1, 0)
        assert receivers.take() == Counted(0, 0, 0.0)
