"""Redelivered messages and poison messages, put into the queues by hand."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import closing
from typing import Any

import aio_pika
import httpx
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.queues import put, take_all
from local.testkit.servers import address_of
from paybridge.database.database import Database
from tests.support.dead_letters import rows

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

COPIES = 5


async def put_copies(stack: Stack, queue: str, message: aio_pika.abc.AbstractIncomingMessage) -> None:
    for _ in range(COPIES):
        await put(
            stack.urls.amqp,
            queue,
            message.body,
            message_id=message.message_id,
            type=message.type,
            correlation_id=message.correlation_id,
            content_type=message.content_type,
        )


async def until_drained(stack: Stack, demo: Merchant, queue: str) -> None:
    """Wait until the function has worked off `queue`: a payment that was sent later has arrived."""
    payment_id = demo.pay(webhook_url=f"{stack.urls.sink}/ok/after-{queue}")
    await live.eventually_async(lambda: live.received(stack.urls.sink, payment_id), f"a payment after {queue}")


async def test_duplicates_change_nothing(stack: Stack, demo: Merchant) -> None:
    async with live.tapped(stack.urls.amqp) as messages:
        payment_id = demo.pay(webhook_url=f"{stack.urls.sink}/ok/duplicates")
        await live.eventually_async(lambda: live.received(stack.urls.sink, payment_id), "the webhook")
    created, succeeded = [message for message in messages if json.loads(message.body)["subject"] == payment_id]
    timeline = demo.timeline(payment_id)
    before = demo.get(payment_id)

    await put_copies(stack, "payments.new", created)
    await put_copies(stack, "webhooks", succeeded)
    await until_drained(stack, demo, "payments.new")

    assert demo.get(payment_id) == before
    assert demo.timeline(payment_id) == timeline
    assert len(live.charges(stack.urls.gateway, payment_id)) == 1
    assert len(live.received(stack.urls.sink, payment_id)) == 1


async def test_duplicates_that_come_before_the_outcome_charge_once(stack: Stack, demo: Merchant) -> None:
    async with live.tapped(stack.urls.amqp) as messages:
        payment_id = demo.pay(payment_method="tok_slow", webhook_url=f"{stack.urls.sink}/ok/early-duplicates")

        def created() -> list[aio_pika.abc.AbstractIncomingMessage]:
            return [message for message in messages if json.loads(message.body)["subject"] == payment_id]

        await live.eventually_async(created, "payment.created on its way")
        await put_copies(stack, "payments.new", created()[0])
        payment = await live.eventually_async(lambda: demo.settled(payment_id), "settled")
        assert payment["status"] == "succeeded"
        await live.eventually_async(lambda: live.received(stack.urls.sink, payment_id), "the webhook")
        await until_drained(stack, demo, "payments.new")
        outcomes = [message for message in created() if message.type != "payment.created"]
    assert len(outcomes) == 1
    assert len(live.charges(stack.urls.gateway, payment_id)) == 1
    assert len(live.received(stack.urls.sink, payment_id)) == 1


def envelope(**changes: Any) -> bytes:
    """Return a message like ours with changes, about a payment that does not exist."""
    values = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "paybridge",
        "type": "payment.created",
        "subject": str(uuid.uuid4()),
        "time": "2026-11-01T12:00:00+00:00",
        "merchantid": str(uuid.uuid4()),
        "correlationid": "foreign",
        "data": {},
    }
    return json.dumps({**values, **changes}).encode()


POISON = {
    "no-json": b"\x00\xff not JSON",
    "empty": b"",
    "no-event": b'{"payment_id": "1"}',
    "foreign": envelope(source="another-system"),
    "unknown-type": envelope(type="payment.teleported"),
    "bad-subject": envelope(subject="'; DROP TABLE payments"),
    "bad-data": envelope(data=[1, 2]),
    "deep": b"[" * 5000 + b"]" * 5000,
}


def logged_dead_letters(stack: Stack) -> set[str]:
    """Return the ids in the log of the dead-letter function. A line that it has not finished yet is left out."""
    complete = (stack.settings.logs_dir / "DeadLettersFunction.log").read_bytes().rpartition(b"\n")[0]
    return {json.loads(line)["dead_letter_id"] for line in complete.splitlines() if b"dead letter from" in line}


@pytest.mark.parametrize("queue", ["payments.new", "webhooks", "webhooks.retry"])
async def test_poison_is_dead_lettered_with_its_reason_while_payments_go_on(
    stack: Stack, demo: Merchant, queue: str
) -> None:
    wanted = {f"{queue}-{name}": body for name, body in POISON.items()}
    for message_id, body in wanted.items():
        await put(stack.urls.amqp, queue, body, message_id=message_id)
    await until_drained(stack, demo, queue)

    with closing(Database(address_of(stack.urls.postgres))) as database:

        def recorded() -> list[dict[str, Any]]:
            found = [row for row in rows(database) if row["queue"] == queue]
            return found if len(found) == len(wanted) else []

        dead_letters = await live.eventually_async(recorded, "every message among the dead letters")
    assert {row["message_id"]: bytes.fromhex(row["body"][2:]) for row in dead_letters} == wanted
    assert all(row["reason"] == row["headers"]["x-paybridge-reason"] for row in dead_letters)
    assert {row["count"] for row in dead_letters} == {1}
    ids = {row["id"] for row in dead_letters}
    # Each is logged after it is committed.
    await live.eventually_async(lambda: ids <= logged_dead_letters(stack), "a log line about each dead letter")
    assert await take_all(stack.urls.amqp, "payments.dead") == []


def test_a_redriven_message_that_dies_again_is_the_same_dead_letter(stack: Stack) -> None:
    body = envelope(type="payment.teleported")
    asyncio.run(put(stack.urls.amqp, "webhooks", body, message_id="redriven"))
    path = f"{stack.urls.api}/api/v1/ops/dead-letters"
    with httpx.Client(headers={"X-API-Key": "secret-operator-key"}, trust_env=False, timeout=30) as operator:

        def letter(count: int) -> dict[str, Any]:
            listed = operator.get(path, params={"queue": "webhooks", "limit": 100}).json()["data"]
            found = [one for one in listed if one["message_id"] == "redriven" and one["count"] == count]
            return found[0] if found else {}

        first = live.eventually(lambda: letter(1), "the dead letter")
        planned = operator.post(f"{path}/redrive", json={"ids": [first["dead_letter_id"]], "dry_run": True}).json()
        assert (planned["matched"], letter(1)["state"]) == (1, "dead")
        redriven = operator.post(f"{path}/redrive", json={"ids": [first["dead_letter_id"]], "dry_run": False})
        assert redriven.json()["matched"] == 1
        again = live.eventually(lambda: letter(2), "its second death")
        assert (again["dead_letter_id"], again["redrives"], again["state"]) == (first["dead_letter_id"], 1, "dead")
        discarded = operator.post(f"{path}/{first['dead_letter_id']}/discard", json={"note": "no such type"})
        assert discarded.json()["state"] == "discarded"


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("operator", 200), ("auditor", 200), ("support", 403)])
def test_the_local_keys_of_staff_have_the_rights_of_their_roles(stack: Stack, role: str, status: int) -> None:
    path = f"{stack.urls.api}/api/v1/ops/dead-letters"
    answer = httpx.get(path, headers={"X-API-Key": f"secret-{role}-key"}, trust_env=False, timeout=40)
    assert answer.status_code == status


async def test_an_order_for_a_payment_that_does_not_exist_makes_none(stack: Stack, demo: Merchant) -> None:
    subject = str(uuid.uuid4())
    await put(stack.urls.amqp, "payments.new", envelope(subject=subject))
    await until_drained(stack, demo, "payments.new")
    assert live.charges(stack.urls.gateway, subject) == []
    with closing(Database(address_of(stack.urls.postgres))) as database:
        assert subject not in {row["payment_id"] for row in rows(database)}
