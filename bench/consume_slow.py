"""Send a full batch through the consumer function while the gateway takes two to five seconds for a charge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import orjson

from bench.consume import BATCH_MESSAGES, wired
from bench.results import ROUNDS, Figure, Goal, Measure, number_text
from bench.servers import Servers, open_database
from consumer import handler as consumer
from local.testkit.local_servers import running_gateway
from local.testkit.payments import new_merchant, new_payment
from local.testkit.rmq import outbox_bodies, rmq_event
from paybridge.database.database import Database

LATENCY = {"GATEWAY_LATENCY_SECONDS_MIN": "2", "GATEWAY_LATENCY_SECONDS_MAX": "5"}
GOAL_RATIO = 1.2


@dataclass(frozen=True, slots=True)
class Round:
    """A batch: seconds from the event to the last committed outcome, and the gateway's slowest charge."""

    batch_seconds: float
    slowest_seconds: float


def measure(servers: Servers) -> Measure:
    """Compare each batch with its slowest charge, taken from the gateway's own log."""
    log = servers.folder / "slow-charges.jsonl"
    url = servers.postgres.fresh_database()
    with (
        running_gateway(log, **LATENCY) as gateway_url,
        open_database(url) as database,
        wired(database, gateway_url),
    ):
        merchant_id = new_merchant(database)
        rounds = []
        for number in range(1, ROUNDS + 1):
            rounds.append(_round(database, merchant_id, log))
            servers.say(
                f"round {number} of {ROUNDS}: {number_text(rounds[-1].batch_seconds)} s for the batch, "
                f"{number_text(rounds[-1].slowest_seconds)} s for its slowest charge"
            )
    servers.postgres.drop_database(url)
    batch, slowest = zip(*((done.batch_seconds, done.slowest_seconds) for done in rounds), strict=True)
    ratios = tuple(seconds / charge for seconds, charge in zip(batch, slowest, strict=True))
    return Measure(
        "consume_slow",
        [
            Figure(f"batch of {BATCH_MESSAGES:,}", "s", batch),
            Figure("slowest charge, gateway's log", "s", slowest),
            Figure("batch to slowest charge", "times", ratios, Goal(GOAL_RATIO, at_most=True)),
        ],
    )


def _round(database: Database, merchant_id: UUID, log: Path) -> Round:
    # Without a payment method the gateway waits a random time.
    payments = [new_payment(database, merchant_id, payment_method=None) for _ in range(BATCH_MESSAGES)]
    batch = rmq_event("payments.new", outbox_bodies(database, payments, "payment.created"))
    started = time.perf_counter()
    done = consumer.handler(batch, None)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    assert done["processed"] == BATCH_MESSAGES, done
    return Round(seconds, _slowest_seconds(log, set(map(str, payments))))


def _slowest_seconds(log: Path, payments: set[str]) -> float:
    """Return the seconds of the slowest charge. Assert that each payment was charged exactly once."""
    records = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    charges = [record for record in records if record["reference"] in payments]
    assert len(charges) == len({charge["reference"] for charge in charges}) == len(payments), f"{len(charges)} charges"
    assert all(charge["status"] == "succeeded" for charge in charges), "a charge was declined"
    longest: int = max(charge["latency_ms"] for charge in charges)
    return longest / 1000
