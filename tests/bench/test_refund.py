"""`refund` really refunds: every payment of a round is charged once and given back once, by the gateway's own log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench import refund
from bench.consume import wired
from bench.servers import open_database
from local.testkit import servers
from local.testkit.local_servers import running_gateway
from local.testkit.payments import new_merchant, new_payment, payment_row

pytestmark = pytest.mark.integration

PAYMENTS = 20


@pytest.fixture(autouse=True)
def _small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refund, "BATCHES", 2)
    monkeypatch.setattr(refund, "BATCH_MESSAGES", PAYMENTS // 2)


def test_every_payment_is_charged_and_refunded_once(postgres_server: servers.Postgres, tmp_path: Path) -> None:
    url, log = postgres_server.fresh_database(), tmp_path / "gateway.jsonl"
    with running_gateway(log) as gateway_url, open_database(url) as database, wired(database, gateway_url):
        rounds = refund.Rounds(database, new_merchant(database))
        for _ in range(2):
            assert rounds.charge() > 0
            assert rounds.refund() > 0
        assert payment_row(database, rounds.charged[0])["status"] == "refunded"
    postgres_server.drop_database(url)
    done = [json.loads(line) for line in log.read_text().splitlines()]
    counts = Counter((record["reference"], record["kind"]) for record in done)
    assert set(counts.values()) == {1}
    assert Counter(kind for _, kind in counts) == {"charge": 2 * PAYMENTS, "refund": 2 * PAYMENTS}


def test_a_refund_that_does_not_happen_fails_the_round(
    postgres_server: servers.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.fresh_database()
    with (
        running_gateway(tmp_path / "gateway.jsonl") as gateway_url,
        open_database(url) as database,
        wired(database, gateway_url),
    ):
        rounds = refund.Rounds(database, new_merchant(database))
        monkeypatch.setattr(
            refund, "new_payment", lambda *given: new_payment(*given, payment_method="tok_refund_declined")
        )
        rounds.charge()
        with pytest.raises(AssertionError, match=f"0 of {PAYMENTS} ended"):
            rounds.refund()
    postgres_server.drop_database(url)
