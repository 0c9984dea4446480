"""The broker is stopped and started while payments are posted: all are accepted, and all arrive."""

from __future__ import annotations

import time

import pytest

from local.stack.stack import Stack
from local.testkit.live import Merchant
from tests.support.faults import assert_each_is_charged_once_and_notified, broker_away

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.broker, pytest.mark.broker_stops]

BEFORE, DURING = 15, 30
# Much more than an answer takes, and less than any wait for a broker that is away.
ANSWER_SECONDS_MAX = 5


def test_payments_are_accepted_without_a_broker_and_arrive_with_it(
    stack: Stack, demo: Merchant, slow_gateway: None
) -> None:
    url = f"{stack.urls.sink}/ok/broker"
    payment_ids = [demo.pay(payment_method=None, webhook_url=url) for _ in range(BEFORE)]
    slowest_seconds = 0.0
    with broker_away(stack):
        for _ in range(DURING):
            began = time.monotonic()
            payment_ids.append(demo.pay(payment_method=None, webhook_url=url))
            slowest_seconds = max(slowest_seconds, time.monotonic() - began)
        waiting = demo.get(payment_ids[-1])["status"]
    assert waiting == "pending"
    assert slowest_seconds < ANSWER_SECONDS_MAX
    assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 45)
