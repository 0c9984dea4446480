"""Screen payments of merchants with many rules, and of merchants without, as the consumer does when charges begin."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bench.results import Figure, Goal, Measure, interleaved
from bench.servers import Servers, open_database
from local.testkit.payments import new_merchant
from paybridge import wiring
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.fraud.domain.rules import ScreenedPayment
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.fraud.screen import find_rules, screen_payments
from paybridge.payments.store.history import StoredHistory

BATCH_PAYMENTS = 500
BATCHES = 10
# Half of the payments are a customer's first.
CUSTOMERS = BATCHES * BATCH_PAYMENTS // 2
GOAL_MICROSECONDS = 150.0
RULES, WITHOUT = "20 rules and 4 velocities", "no rules"

_VELOCITIES: tuple[dict[str, Any], ...] = (
    {"per": "customer", "window_seconds": 3600, "count_gte": 1000},
    {"per": "customer", "window_seconds": 86400, "amount_gte": "100000000.00"},
    {"per": "payment_method", "window_seconds": 3600, "count_gte": 1000},
    {"per": "merchant", "window_seconds": 60, "count_gte": 1_000_000},
)


def measure(servers: Servers) -> Measure:
    """Measure the microseconds that screening adds to a payment, in batches of BATCH_PAYMENTS, with their commits."""
    # Python looks for garbage as seldom as in the consumer.
    wiring.run(asyncio.sleep(0))
    url = servers.postgres.fresh_database()
    with open_database(url) as database:
        contenders: dict[str, Callable[[], float]] = {}
        for name, rules in ((RULES, twenty_rules()), (WITHOUT, [])):
            merchant_id = new_merchant(database)
            replace_fraud_rules(database, SystemClock(), merchant_id, rules, "bench")
            contenders[name] = _screens(database, merchant_id, len(rules))
            contenders[name]()
        values = interleaved(servers.say, contenders, "µs a payment")
    servers.postgres.drop_database(url)
    return Measure(
        "screen",
        [
            Figure(RULES, "µs a payment", values[RULES], Goal(GOAL_MICROSECONDS, at_most=True)),
            Figure(WITHOUT, "µs a payment", values[WITHOUT]),
        ],
    )


def twenty_rules() -> list[dict[str, Any]]:
    """Return 20 rules of every kind, of which 4 count. None of them stops the bench's payments."""
    conditions: list[dict[str, Any]] = [{"velocity": velocity} for velocity in _VELOCITIES]
    conditions += [{"amount_gte": f"{10_000 + number}.00", "currency_in": ["EUR", "USD"]} for number in range(6)]
    conditions += [{"customer_in": [f"blocked-{number}-{member}" for member in range(50)]} for number in range(5)]
    conditions += [{"payment_method_in": [f"tok_stolen_{number}"], "currency_in": ["EUR"]} for number in range(5)]
    return [
        {"id": f"rule-{number}", "action": ("review", "block")[number % 2], "score": number, "when": when}
        for number, when in enumerate(conditions)
    ]


def _screens(database: Database, merchant_id: uuid.UUID, rule_count: int) -> Callable[[], float]:
    ids, history = Uuid7Ids(), StoredHistory()

    def run() -> float:
        now = datetime.now(UTC)
        batches = [
            [
                _candidate(ids.new(), merchant_id, number * BATCH_PAYMENTS + place, now)
                for place in range(BATCH_PAYMENTS)
            ]
            for number in range(BATCHES)
        ]
        screened = 0
        started = time.perf_counter()
        for batch in batches:
            with database.transaction() as transaction:
                sets = find_rules(transaction, {merchant_id})
                if sets:
                    found = screen_payments(transaction, batch, sets, now, history=history, review_expiry_seconds=86400)
                    screened += len(found)
        seconds = time.perf_counter() - started
        assert screened == (BATCHES * BATCH_PAYMENTS if rule_count else 0), f"{screened} payments were screened"
        return seconds * 1_000_000 / (BATCHES * BATCH_PAYMENTS)

    return run


def _candidate(payment_id: uuid.UUID, merchant_id: uuid.UUID, number: int, now: datetime) -> ScreenedPayment:
    return ScreenedPayment(
        payment_id=payment_id,
        merchant_id=merchant_id,
        at=now,
        amount_minor=10050,
        currency="EUR",
        currency_places=2,
        customer=f"{merchant_id}-{number % CUSTOMERS}",
        payment_method=f"tok_{payment_id.hex}",
    )
