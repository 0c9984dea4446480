"""Processes of functions, and their host, killed with SIGKILL while payments are on their way through them."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.payments import attempt_rows
from local.testkit.receiver import running_receiver
from local.testkit.servers import address_of
from paybridge.database.database import Database
from tests.support.faults import (
    assert_each_is_charged_once_and_notified,
    environments,
    kill_environments,
    kill_host,
)

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.broker]

ROUNDS, PAYMENTS = 3, 15


def pay(stack: Stack, demo: Merchant, name: str) -> list[str]:
    url = f"{stack.urls.sink}/ok/{name}"
    return [demo.pay(payment_method=None, webhook_url=url) for _ in range(PAYMENTS)]


def until_one_is_being_charged(database: Database, payment_ids: list[str]) -> None:
    def started() -> bool:
        attempts = [attempt for one in payment_ids for attempt in attempt_rows(database, uuid.UUID(one))]
        return any(attempt["status"] == "started" for attempt in attempts)

    live.eventually(started, "an attempt under way")


class TestConsumer:
    def test_killed_again_and_again_amid_charges(self, stack: Stack, demo: Merchant, slow_gateway: None) -> None:
        payment_ids: list[str] = []
        with closing(Database(address_of(stack.urls.postgres))) as database:
            for _ in range(ROUNDS):
                new = pay(stack, demo, "consumer")
                until_one_is_being_charged(database, new)
                assert kill_environments(stack, "consumer") > 0
                payment_ids += new
            assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 60)
            attempts = [len(attempt_rows(database, uuid.UUID(one))) for one in payment_ids]
        # Otherwise nothing was interrupted, and this has shown nothing.
        assert max(attempts) > 1


class TestWebhooks:
    def test_killed_while_a_receiver_is_asked(self, stack: Stack, demo: Merchant) -> None:
        with running_receiver(hanging=True) as receiver:
            payment_ids = [demo.pay(webhook_url=receiver.url) for _ in range(PAYMENTS)]
            live.eventually(lambda: receiver.requests, "the first webhook")
            assert kill_environments(stack, "webhooks") > 0
            receiver.open.set()

            def told() -> bool:
                return len({request.headers["webhook-id"] for request in receiver.requests}) == PAYMENTS

            live.eventually(told, "every webhook")

            def delivered() -> bool:
                kinds = [{entry["type"] for entry in demo.timeline(one)} for one in payment_ids]
                return all("webhook.attempt_delivered" in one for one in kinds)

            live.eventually(delivered, "every webhook on record as delivered")
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == PAYMENTS


class TestHost:
    def test_killed_with_all_functions_and_started_again(
        self, stack: Stack, demo: Merchant, slow_gateway: None
    ) -> None:
        payment_ids = pay(stack, demo, "host")
        with closing(Database(address_of(stack.urls.postgres))) as database:
            until_one_is_being_charged(database, payment_ids)
        functions = kill_host(stack)
        live.eventually(lambda: not any(one.is_running() for one in functions), "no function outlives its host")
        stack.start_functions()
        payment_ids += pay(stack, demo, "host")
        assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 60)


class TestRelay:
    def test_killed_is_replaced_by_the_next_minutes(self, stack: Stack, demo: Merchant) -> None:
        payment_ids = pay(stack, demo, "relay")
        assert kill_environments(stack, "relay") > 0
        payment_ids += pay(stack, demo, "relay")
        assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 75)
        assert environments(stack, "relay")
