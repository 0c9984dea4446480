"""Redriving dead letters: what is marked, and what the relay then publishes, with a real database and broker."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from local.testkit.live import eventually
from local.testkit.locks import held
from local.testkit.queues import Got, take_all
from local.testkit.servers import Vhost
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Statement
from paybridge.dead_letters import redrive as use_case
from paybridge.dead_letters import republish
from paybridge.dead_letters.discard import discard_dead_letter
from paybridge.dead_letters.domain import Selection
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.record import record_dead_letters
from paybridge.dead_letters.redrive import (
    RedriveAnswer,
    RedriveKeyReused,
    RedriveOrder,
    plan_redrive,
    redrive_dead_letters,
)
from paybridge.dead_letters.republish import DeadLetterRedrives
from paybridge.dead_letters.store import changing
from paybridge.outbox.relay import Refusal, relay_once
from paybridge.rabbitmq.publisher import open_publisher
from paybridge.rabbitmq.raw import raw_messages_of
from paybridge.rabbitmq.subscription import subscribe
from tests.support.dead_letters import record_dead, rows

pytestmark = [pytest.mark.integration, pytest.mark.broker]

_DELAYS = Statement("""
    SELECT extract(epoch FROM available_at - created_at)::float8 FROM outbox
    WHERE type = 'command.redrive' ORDER BY available_at
""")
_PENDING = Statement("SELECT count(*) FROM outbox WHERE type = 'command.redrive' AND published_at IS NULL")
_LOCK = Statement("SELECT FROM dead_letters WHERE id = :id::uuid FOR UPDATE")
_MAKE_DUE = Statement("UPDATE outbox SET available_at = now() WHERE published_at IS NULL")
_CLEAR = Statement("DELETE FROM outbox")
_WAITING = Statement("SELECT count(*) FROM pg_locks WHERE NOT granted")
BROKER_DEATH = {"queue": "webhooks", "reason": "delivery_limit", "count": 1, "exchange": "", "routing-keys": ["k"]}


@pytest.fixture(autouse=True)
def _empty_outbox(services: DeadLetterServices) -> None:
    services.database.run(_CLEAR)


def order(rate: float = 1000, key: str | None = None, **selection: Any) -> RedriveOrder:
    fingerprint = None if key is None else str(selection).encode().ljust(32)[:32]
    return RedriveOrder(
        selection=Selection(**selection), rate_per_second=rate, actor="ana", key=key, request_fingerprint=fingerprint
    )


async def relayed(services: DeadLetterServices, vhost: Vhost) -> list[Refusal]:
    """Publish what is due, and return what the broker refused."""
    refusals: list[Refusal] = []
    async with open_publisher(vhost.amqp_url) as publisher:
        for _ in range(5):
            services.database.run(_MAKE_DUE)
            await relay_once(services.database, publisher, 100, refusals.append, DeadLetterRedrives())
    return refusals


async def taken(vhost: Vhost, queue: str) -> list[Got]:
    return await take_all(vhost.amqp_url, queue)


def states(services: DeadLetterServices) -> list[str]:
    return [row["state"] for row in rows(services.database)]


class TestRedriveDeadLetters:
    async def test_the_message_returns_to_its_queue_alone_without_counters(
        self, services: DeadLetterServices, vhost: Vhost
    ) -> None:
        headers = {"tenant": "t", "n": 7, "bytes": {"base64": "/w=="}, "CC": ["webhooks.retry"]}
        broker_headers = {"x-death": [BROKER_DEATH], "x-delivery-count": 4, "x-first-death-queue": "webhooks"}
        letter = record_dead(
            services, body=b"\xff\0body", message_id="m", type="t", correlation_id="c", headers=headers | broker_headers
        )
        answer = redrive_dead_letters(services, order(ids=(letter.id,)))
        assert states(services) == ["redriving"]
        assert await relayed(services, vhost) == []
        (got,) = await taken(vhost, "webhooks")
        assert (got.body, got.message_id, got.type, got.correlation_id) == (b"\xff\0body", "m", "t", "c")
        # The broker counts this delivery, the first of the message.
        assert got.headers.pop("x-delivery-count", 0) == 0
        assert got.headers == {
            "tenant": "t",
            "n": 7,
            "bytes": b"\xff",
            "x-paybridge-redrive": answer.body["redrive_id"],
        }
        assert await taken(vhost, "webhooks.retry") == []
        (row,) = rows(services.database)
        assert (row["state"], row["redrives"], row["redrive_id"]) == ("redriven", 1, answer.body["redrive_id"])

    async def test_twice_changes_nothing(self, services: DeadLetterServices, vhost: Vhost) -> None:
        letter = record_dead(services)
        assert redrive_dead_letters(services, order(ids=(letter.id,))).body["matched"] == 1
        assert redrive_dead_letters(services, order(ids=(letter.id,))).body["matched"] == 0
        await relayed(services, vhost)
        assert redrive_dead_letters(services, order(ids=(letter.id,))).body["matched"] == 0
        await relayed(services, vhost)
        assert len(await taken(vhost, "webhooks")) == 1
        assert rows(services.database)[0]["redrives"] == 1

    async def test_two_operators_at_once_redrive_each_message_once(
        self, services: DeadLetterServices, vhost: Vhost
    ) -> None:
        for _ in range(20):
            record_dead(services)
        others = [DeadLetterServices(services.database.another(), services.clock, services.ids) for _ in range(4)]
        answers = await asyncio.gather(
            *(asyncio.to_thread(redrive_dead_letters, one, order(queue="webhooks")) for one in others)
        )
        for one in others:
            one.database.close()
        assert sum(answer.body["matched"] for answer in answers) == 20
        await relayed(services, vhost)
        assert len(await taken(vhost, "webhooks")) == 20

    async def test_a_locked_dead_letter_holds_up_no_other_message(
        self, services: DeadLetterServices, vhost: Vhost
    ) -> None:
        locked, other = record_dead(services, body=b"locked"), record_dead(services, body=b"other")
        redrive_dead_letters(services, order(ids=(locked.id, other.id)))
        operator = services.database.another()
        try:
            with operator.transaction() as transaction:
                transaction.run(_LOCK, id=locked.id)
                await relayed(services, vhost)
                assert [got.body for got in await taken(vhost, "webhooks")] == [b"other"]
        finally:
            operator.close()
        await relayed(services, vhost)
        assert [got.body for got in await taken(vhost, "webhooks")] == [b"locked"]
        assert states(services) == ["redriven", "redriven"]

    async def test_a_redriven_message_that_dies_again_is_the_same_dead_letter(
        self, services: DeadLetterServices, vhost: Vhost
    ) -> None:
        letter = record_dead(services, message_id="m")
        redrive_dead_letters(services, order(ids=(letter.id,)))
        await relayed(services, vhost)
        async with subscribe(vhost.amqp_url, ["webhooks"], 1) as subscription:
            (message,) = await subscription.batch(1)
            await subscription._sent(subscription._channel.basic_reject(message.tag, requeue=False))
        async with subscribe(vhost.amqp_url, ["payments.dead"], 1) as subscription:
            died = await subscription.batch(1)
            (recorded,) = record_dead_letters(services, raw_messages_of(died))
            await subscription.acknowledge(died[-1])
        assert (recorded.id, recorded.count) == (letter.id, 2)
        (row,) = rows(services.database)
        assert (row["state"], row["redrives"], row["reason"]) == ("dead", 1, "rejected")
        assert redrive_dead_letters(services, order(ids=(letter.id,))).body["matched"] == 1
        assert rows(services.database)[0]["redrives"] == 2

    async def test_a_message_that_dies_before_its_redrive_is_marked_stays_dead_and_is_not_sent_again(
        self, services: DeadLetterServices, vhost: Vhost
    ) -> None:
        letter = record_dead(services, body=b"same", message_id="m")
        redrive_dead_letters(services, order(ids=(letter.id,)))
        record_dead(services, body=b"same", message_id="m")
        await relayed(services, vhost)
        assert states(services) == ["dead"]
        assert await taken(vhost, "webhooks") == []
        assert services.database.run(_PENDING) == [[0]]

    async def test_a_relay_that_dies_publishes_again(self, services: DeadLetterServices, vhost: Vhost) -> None:
        class DyingRedrives(DeadLetterRedrives):
            def settle(self, *_: Any) -> None:
                raise KeyboardInterrupt

        letter = record_dead(services)
        redrive_dead_letters(services, order(ids=(letter.id,)))
        async with open_publisher(vhost.amqp_url) as publisher:
            with pytest.raises(KeyboardInterrupt):
                await relay_once(services.database, publisher, 100, lambda _: None, DyingRedrives())
        assert states(services) == ["redriving"]
        await relayed(services, vhost)
        assert states(services) == ["redriven"]
        assert len(await taken(vhost, "webhooks")) == 2

    async def test_a_payment_keeps_its_shard(self, services: DeadLetterServices, vhost: Vhost) -> None:
        payment_id = str(uuid4())
        record_dead(services, queue="payments.new.3", body=orjson.dumps({"subject": payment_id}))
        redrive_dead_letters(services, order(queue="payments.new"))
        await relayed(services, vhost)
        (got,) = await taken(vhost, "payments.new")
        assert got.headers["payment-id"] == payment_id

    async def test_the_rate_spreads_them_over_time(self, services: DeadLetterServices) -> None:
        for _ in range(4):
            record_dead(services)
        answer = redrive_dead_letters(services, order(rate=2, queue="webhooks"))
        assert answer.body["would"]["seconds"] == 1.5
        assert [round(row[0], 2) for row in services.database.run(_DELAYS)] == [0.0, 0.5, 1.0, 1.5]

    async def test_large_bodies_take_several_batches(
        self, services: DeadLetterServices, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(republish, "BATCH_BYTES_MAX", 100)
        for number in range(3):
            record_dead(services, body=b"%d" % number * 200)
        redrive_dead_letters(services, order(queue="webhooks"))
        await relayed(services, vhost)
        assert sorted(got.body[:1] for got in await taken(vhost, "webhooks")) == [b"0", b"1", b"2"]
        assert set(states(services)) == {"redriven"}

    async def test_a_queue_that_is_missing_keeps_the_redrive(self, services: DeadLetterServices, vhost: Vhost) -> None:
        letter = record_dead(services)
        redrive_dead_letters(services, order(ids=(letter.id,)))
        services.database.run(Statement("UPDATE dead_letters SET queue = 'nowhere'"))
        refusals = await relayed(services, vhost)
        assert "unroutable" in refusals[0].reason
        assert states(services) == ["redriving"]

    async def test_it_goes_with_other_rows_of_the_outbox(self, services: DeadLetterServices, vhost: Vhost) -> None:
        # Without the port, the rows of dead letters wait and hold up nothing.
        record_dead(services)
        redrive_dead_letters(services, order(queue="webhooks"))
        async with open_publisher(vhost.amqp_url) as publisher:
            assert (await relay_once(services.database, publisher, 100, lambda _: None)).claimed == 0
        assert services.database.run(_PENDING) == [[1]]

    def test_a_message_of_no_queue_of_ours_is_not_redriven(self, services: DeadLetterServices) -> None:
        record_dead(services, queue="foreign")
        record_dead(services, queue="webhooks")
        answer = redrive_dead_letters(services, order(queue="payments.dead"))
        assert (answer.body["matched"], answer.body["would"]["not_redrivable"]) == (1, 1)
        assert sorted(states(services)) == ["dead", "redriving"]

    def test_more_than_one_redrive_takes_are_left_for_the_next(
        self, services: DeadLetterServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(use_case, "MATCHED_MAX", 2)
        for _ in range(3):
            record_dead(services)
        first, second = (redrive_dead_letters(services, order(queue="webhooks")).body for _ in range(2))
        assert (first["matched"], first["would"]["has_more"]) == (2, True)
        assert (second["matched"], second["would"]["has_more"]) == (1, False)

    def test_discarded_ones_are_left_alone(self, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        discard_dead_letter(services, letter.id, actor="ana", note="why")
        assert redrive_dead_letters(services, order(ids=(letter.id,))).body["matched"] == 0

    def test_the_same_key_gets_the_same_answer(self, services: DeadLetterServices) -> None:
        record_dead(services)
        first = redrive_dead_letters(services, order(key="k", queue="webhooks"))
        record_dead(services)
        again = redrive_dead_letters(services, order(key="k", queue="webhooks"))
        assert (again.body, again.replayed) == (first.body, True)
        assert sorted(states(services)) == ["dead", "redriving"]
        with pytest.raises(RedriveKeyReused):
            redrive_dead_letters(services, order(key="k", queue="payments.new"))

    def test_the_same_key_of_another_operator_is_another_redrive(self, services: DeadLetterServices) -> None:
        record_dead(services)
        first = redrive_dead_letters(services, order(key="k", queue="webhooks"))
        record_dead(services)
        other = redrive_dead_letters(services, replace(order(key="k", queue="webhooks"), actor="bob"))
        assert (first.body["matched"], other.body["matched"], other.replayed) == (1, 1, False)

    def test_the_same_key_twice_at_once_gets_one_answer(
        self, services: DeadLetterServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record_dead(services)
        candidates = changing.candidates
        second: list[Future[RedriveAnswer]] = []

        def begin_second(transaction: Any, *arguments: Any, **options: Any) -> list[changing.Candidate]:
            monkeypatch.setattr(changing, "candidates", candidates)
            repeated = replace(services, database=other)
            second.append(threads.submit(redrive_dead_letters, repeated, order(key="k", queue="webhooks")))
            eventually(lambda: transaction.run(_WAITING) == [[1]], "the second waits", seconds_max=5)
            return candidates(transaction, *arguments, **options)

        monkeypatch.setattr(changing, "candidates", begin_second)
        with closing(services.database.another()) as other, ThreadPoolExecutor() as threads:
            first = redrive_dead_letters(services, order(key="k", queue="webhooks"))
            assert second[0].result() == RedriveAnswer(first.body, replayed=True)

    def test_one_that_another_operator_holds_holds_up_no_other(
        self, services: DeadLetterServices, database_address: DatabaseAddress
    ) -> None:
        locked, other = record_dead(services), record_dead(services)
        lock = "SELECT 1 FROM dead_letters WHERE id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=locked.id):
            assert redrive_dead_letters(services, order(queue="webhooks")).body["matched"] == 1
        found = {row["id"]: row["state"] for row in rows(services.database)}
        assert found == {str(locked.id): "dead", str(other.id): "redriving"}


class TestPlanRedrive:
    def test_it_counts_by_queue_and_reason_and_changes_nothing(self, services: DeadLetterServices) -> None:
        for queue, reason in (("webhooks", "a"), ("webhooks", "a"), ("payments.new", "b"), ("foreign", "c")):
            record_dead(services, queue=queue, reason=reason)
        before = rows(services.database)
        answer = plan_redrive(services, order(rate=10, queue="payments.dead")).body
        assert (answer["redrive_id"], answer["matched"]) == (None, 3)
        assert [(one["queue"], one["reason"], one["count"]) for one in answer["would"]["publish"]] == [
            ("webhooks", "a", 2),
            ("payments.new", "b", 1),
        ]
        assert answer["would"]["not_redrivable"] == 1
        assert rows(services.database) == before
        assert services.database.run(_PENDING) == [[0]]


def test_a_redrive_is_audited(services: DeadLetterServices) -> None:
    letter = record_dead(services)
    answer = redrive_dead_letters(services, order(fingerprint=letter.death.fingerprint))
    [[actor, selection, matched]] = services.database.run(
        Statement("SELECT actor, selection, matched FROM dead_letter_redrives")
    )
    assert (actor, selection, matched) == ("ana", {"fingerprint": letter.death.fingerprint}, 1)
    [[dead_letter_id, redrive_id]] = services.database.run(
        Statement("SELECT dead_letter_id, redrive_id FROM dead_letter_actions WHERE actor = 'ana'")
    )
    assert (dead_letter_id, redrive_id) == (letter.id, UUID(answer.body["redrive_id"]))
