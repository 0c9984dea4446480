"""The process dies before each statement of a batch in turn: what belongs together is there together, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from local.testkit.webhooks import SLOW, DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement, Transaction
from paybridge.database.wire import Row
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.sweep import sweep_webhooks
from tests.support.webhook_senders import Crash, StubSender, answered

pytestmark = pytest.mark.integration

# More than any of these batches executes.
STATEMENTS_MAX = 40
TIMED_OUT = SendResult(status_code=None, error="timeout", latency_ms=500)
STATE = Statement("""
    SELECT d.status, d.attempts, d.next_attempt_at IS NOT NULL,
           (SELECT count(*) FROM webhook_attempts a WHERE a.delivery_id = d.id),
           (SELECT count(*) FROM webhook_attempts a WHERE a.delivery_id = d.id AND a.status <> 'started'),
           (SELECT max(a.response_status) FROM webhook_attempts a WHERE a.delivery_id = d.id),
           (SELECT count(*) FROM outbox o WHERE o.payment_id = d.payment_id AND o.type = 'command.deliver_webhook'
                AND strpos(o.body, d.id::text) > 0),
           (SELECT count(*) FROM outbox o WHERE o.payment_id = d.payment_id AND o.type = 'webhook.exhausted'
                AND strpos(o.body, d.id::text) > 0)
    FROM webhook_deliveries d WHERE d.payment_id = :id::uuid
""")
OUTDATE = Statement("""
    UPDATE webhook_deliveries SET created_at = created_at - interval '1 hour', next_attempt_at = NULL
    WHERE payment_id = :id::uuid
""")


@contextmanager
def dying_before(number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let the process die before the statement with this number; yield the list of those that were executed."""
    executed: list[int] = []
    run = Transaction.run

    def run_or_die(self: Transaction, statement: Statement, **parameters: Any) -> list[Row]:
        if len(executed) + 1 == number:
            raise Crash
        executed.append(number)
        return run(self, statement, **parameters)

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "run", run_or_die)
        yield executed


def ensure_whole(world: DeliveryWorld, event: Event) -> None:
    """Fail unless outcome, command, fact and attempts of each delivery agree."""
    for status, attempts, has_next, rows, finished, answer, commands, facts in world.database.run(
        STATE, id=event.payment_id
    ):
        assert attempts == rows
        # The outcome of an attempt and the command for the next one, or for the same one later.
        assert has_next == (status == "pending" and commands > 0)
        assert status != "pending" or finished == 0 or commands > 0
        assert (status == "failed") == (facts == 1)
        assert (answer == 410) == (status == "gone")
        assert status != "delivered" or finished > 0


@pytest.mark.parametrize(
    ("result", "delays"),
    [
        (answered(200), (1, 2)),
        (answered(500), (1, 2)),
        (answered(500), ()),
        (answered(410), (1, 2)),
        (TIMED_OUT, (1, 2)),
        (TIMED_OUT, ()),
    ],
    ids=["delivered", "retry", "exhausted", "gone", "timeout", "exhausted by a timeout"],
)
async def test_the_outcome_and_what_follows_are_committed_together(
    world: DeliveryWorld, monkeypatch: pytest.MonkeyPatch, result: SendResult, delays: tuple[float, ...]
) -> None:
    for number in range(1, STATEMENTS_MAX):
        event = world.event(world.merchant(), "/x")
        with dying_before(number, monkeypatch) as executed, suppress(Crash):
            await world.deliver(event, sender=StubSender(result), delays=delays)
        ensure_whole(world, event)
        if len(executed) < number - 1:
            return
    raise AssertionError("the batch executes more statements than expected")


async def test_a_postponed_attempt_and_its_command_are_committed_together(
    world: DeliveryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, STATEMENTS_MAX):
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/x"), sender=StubSender(TIMED_OUT))
        event = world.event(merchant_id, "/x")
        with dying_before(number, monkeypatch) as executed, suppress(Crash):
            await world.deliver(event, sender=StubSender(answered(200)))
        ensure_whole(world, event)
        if len(executed) < number - 1:
            return
    raise AssertionError("the batch executes more statements than expected")


async def test_an_interrupted_attempt_and_the_next_one_are_recorded_together(
    world: DeliveryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, STATEMENTS_MAX):
        event = world.event(world.merchant(), "/x")
        with suppress(Crash):
            await world.deliver(event, sender=StubSender(Crash()))
        with dying_before(number, monkeypatch) as executed, suppress(Crash):
            await world.deliver(event, sender=StubSender(answered(200)), lane=SLOW)
        # Never without an attempt under way, and never two.
        assert [attempt[1] for attempt in world.attempts(event)] in (
            ["started"],
            ["failed", "started"],
            ["failed", "delivered"],
        )
        if len(executed) < number - 1:
            return
    raise AssertionError("the batch executes more statements than expected")


async def test_the_sweep_writes_a_command_for_each_stalled_delivery_or_nothing(
    world: DeliveryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = world.event(world.merchant(), "/x")
    with suppress(Crash):
        await world.deliver(event, sender=StubSender(Crash()))
    world.database.run(OUTDATE, id=event.payment_id)
    before = len(world.outbox(event))
    for number in range(1, STATEMENTS_MAX):
        with dying_before(number, monkeypatch) as executed, suppress(Crash):
            swept = sweep_webhooks(world.database, SystemClock(), Uuid7Ids(), -60)
            assert (
                any(one.payment_id == event.payment_id for one in swept.deliveries) or len(world.outbox(event)) > before
            )
        if len(executed) < number - 1:
            break
    assert len(world.outbox(event)) == before + 1
