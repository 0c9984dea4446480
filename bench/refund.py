"""Send charges and refunds through the consumer function in turns, with a gateway that answers at once."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

from bench.consume import wired
from bench.results import Figure, Goal, Measure, interleaved, ratio
from bench.servers import Servers, open_database
from consumer import handler as consumer
from local.testkit.local_servers import running_gateway
from local.testkit.payments import new_merchant, new_payment
from local.testkit.rmq import outbox_bodies, rmq_event
from paybridge.core.clock import SystemClock
from paybridge.core.events import PROCESS_PAYMENT
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder

BATCH_MESSAGES = 1_000
BATCHES = 3
GOAL_SHARE = 0.8
REFUNDS, CHARGES, SHARE = "refunds", "charges", "share of the charges' rate"

_CHARGED = Statement("SELECT count(*) FROM payments WHERE merchant_id = :merchant_id::uuid AND captured_minor > 0")
_REFUNDED = Statement(
    "SELECT count(*) FROM payments WHERE merchant_id = :merchant_id::uuid AND refunded_minor = captured_minor "
    "AND status = 'refunded'"
)


def measure(servers: Servers) -> Measure:
    """Measure charges and refunds per second through the function as Lambda calls it.

    The refunds of a round are of the payments that were charged just before.
    """
    url = servers.postgres.fresh_database()
    with (
        running_gateway(servers.folder / "refunds.jsonl") as gateway_url,
        open_database(url) as database,
        wired(database, gateway_url),
    ):
        rounds = Rounds(database, new_merchant(database))
        # A first round makes the connections and prepares the statements.
        rounds.charge()
        rounds.refund()
        values = interleaved(servers.say, {CHARGES: rounds.charge, REFUNDS: rounds.refund}, "operations/s")
    servers.postgres.drop_database(url)
    return Measure(
        "refund",
        [
            Figure(REFUNDS, "refunds/s", values[REFUNDS]),
            Figure(CHARGES, "payments/s", values[CHARGES]),
            ratio(SHARE, values[REFUNDS], values[CHARGES], Goal(GOAL_SHARE)),
        ],
    )


@dataclass
class Rounds:
    """Rounds of charges, and of refunds of what the last of them charged."""

    database: Database
    merchant_id: uuid.UUID
    charged: list[uuid.UUID] = field(default_factory=list)

    def charge(self) -> float:
        """Return the payments charged per second."""
        self.charged = [new_payment(self.database, self.merchant_id) for _ in range(BATCHES * BATCH_MESSAGES)]
        return self._consume("payment.created", _CHARGED)

    def refund(self) -> float:
        """Return the payments refunded in full per second."""
        for payment_id in self.charged:
            order_refund(self.database, self.merchant_id, payment_id)
        return self._consume(PROCESS_PAYMENT, _REFUNDED)

    def _consume(self, message_type: str, done: Statement) -> float:
        before = self._count(done)
        bodies = outbox_bodies(self.database, self.charged, message_type)
        parts = [bodies[start : start + BATCH_MESSAGES] for start in range(0, len(bodies), BATCH_MESSAGES)]
        batches = [rmq_event("payments.new", part) for part in parts]
        started = time.perf_counter()
        for batch in batches:
            consumer.handler(batch, None)  # type: ignore[arg-type]
        seconds = time.perf_counter() - started
        ended = self._count(done) - before
        assert ended == len(self.charged), f"{ended} of {len(self.charged)} ended"
        return ended / seconds

    def _count(self, done: Statement) -> int:
        return int(self.database.run(done, merchant_id=self.merchant_id)[0][0])


def order_refund(database: Database, merchant_id: uuid.UUID, payment_id: uuid.UUID) -> None:
    """Accept a refund of all that the payment has captured."""
    request = IdempotentRequest(f"refund-{payment_id}", bytes(32))
    answer = create_refund(
        database,
        SystemClock(),
        Uuid7Ids(),
        keyed=Keyed(merchant_id, refund_operation(payment_id), request),
        payment_id=payment_id,
        order=RefundOrder(),
        correlation_id=f"bench-{payment_id}",
    )
    assert isinstance(answer, Answered), answer
