"""The broker is short of memory and takes nothing: payments are accepted, wait in the outbox, and arrive afterwards."""

from __future__ import annotations

import time

import pytest

from local.stack.stack import Stack
from local.testkit.live import Merchant
from tests.support.faults import assert_each_is_charged_once_and_notified, broker_alarm, environments

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.broker, pytest.mark.broker_stops]

BEFORE, DURING = 5, 40
# Longer than the relay waits for the confirms of a batch, so that it has to give one up.
ALARM_SECONDS = 15
ANSWER_SECONDS_MAX = 5
# A relay that kept what it cannot send would grow by far more.
GROWTH_BYTES_MAX = 20 * 1024 * 1024


def memory_of_relays(stack: Stack) -> int:
    return sum(process.memory_info().rss for process in environments(stack, "relay"))


def test_payments_are_accepted_during_a_memory_alarm_and_arrive_after_it(stack: Stack, demo: Merchant) -> None:
    url = f"{stack.urls.sink}/ok/alarm"
    payment_ids = [demo.pay(webhook_url=url) for _ in range(BEFORE)]
    demo.settled(payment_ids[-1])
    slowest_seconds = 0.0
    with broker_alarm(stack):
        relays, relays_bytes = environments(stack, "relay"), memory_of_relays(stack)
        ends_at = time.monotonic() + ALARM_SECONDS
        for _ in range(DURING):
            began = time.monotonic()
            payment_ids.append(demo.pay(webhook_url=url))
            slowest_seconds = max(slowest_seconds, time.monotonic() - began)
        time.sleep(max(0.0, ends_at - time.monotonic()))
        waiting = {demo.get(payment_id)["status"] for payment_id in payment_ids[BEFORE:]}
        if environments(stack, "relay") == relays:
            assert memory_of_relays(stack) < relays_bytes + GROWTH_BYTES_MAX
    assert waiting == {"pending"}
    assert slowest_seconds < ANSWER_SECONDS_MAX
    assert_each_is_charged_once_and_notified(stack, demo, payment_ids, 45)
