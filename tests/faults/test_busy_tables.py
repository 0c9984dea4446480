"""A table is locked for longer than the queues' patience: what waits settles afterwards, without a dead letter."""

from __future__ import annotations

import time
import uuid
from contextlib import closing

import httpx
import pytest

from local.stack.stack import Stack
from local.testkit.live import Merchant
from local.testkit.locks import held
from local.testkit.servers import address_of
from paybridge.database.database import Database, Statement
from tests.support.faults import assert_each_is_charged_once_and_notified

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

_DEAD_LETTERS = Statement("SELECT count(*) FROM dead_letters")
PAYMENTS = 20
# Longer than one invocation waits. Before, messages were dead letters after 25 s.
LOCKED_SECONDS = 32


@pytest.mark.parametrize("table", ["operations", "webhook_deliveries"])
def test_what_waits_in_queues_settles_afterwards(stack: Stack, demo: Merchant, table: str) -> None:
    address = address_of(stack.urls.postgres)
    with closing(Database(address)) as database:
        [[dead_before]] = database.run(_DEAD_LETTERS)
        with held(address, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
            payment_ids = [demo.pay(webhook_url=f"{stack.urls.sink}/ok/busy") for _ in range(PAYMENTS)]
            time.sleep(LOCKED_SECONDS)
            answer = demo.post(str(uuid.uuid4()), {"amount": "1.00", "currency": "EUR"})
            assert answer.status_code == httpx.codes.ACCEPTED
        assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 90)
        assert database.run(_DEAD_LETTERS) == [[dead_before]]
