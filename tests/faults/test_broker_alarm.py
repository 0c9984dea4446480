"""The broker is short of memory and takes nothing: payments are accepted, wait in the outbox, and arrive afterwards."""

from __future__ import annotations

import time

import pytest

from local.stack.stack import Stack
from local.testkit.live import Merchant
from tests.support.faults import (
    LONGER_SECONDS_MAX,
    assert_each_is_charged_once_and_notified,
    broker_alarm,
    environments,
    pay_timed,
)

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.broker, pytest.mark.broker_stops]

PAYMENTS = 40
# Longer than the relay waits for the confirms of a batch, so that it has to give one up.
ALARM_SECONDS = 15
# A relay that kept what it cannot send would grow by far more.
GROWTH_BYTES_MAX = 20 * 1024 * 1024


def memory_of_relays(stack: Stack) -> int:
    return sum(process.memory_info().rss for process in environments(stack, "relay"))


def test_payments_are_accepted_during_a_memory_alarm_and_arrive_after_it(stack: Stack, demo: Merchant) -> None:
    url = f"{stack.urls.sink}/ok/alarm"
    before, usual_seconds = pay_timed(demo, PAYMENTS, webhook_url=url)
    demo.settled(before[-1])
    with broker_alarm(stack):
        relays, relays_bytes = environments(stack, "relay"), memory_of_relays(stack)
        ends_at = time.monotonic() + ALARM_SECONDS
        during, slowest_seconds = pay_timed(demo, PAYMENTS, webhook_url=url)
        time.sleep(max(0.0, ends_at - time.monotonic()))
        waiting = {demo.get(payment_id)["status"] for payment_id in during}
        if environments(stack, "relay") == relays:
            assert memory_of_relays(stack) < relays_bytes + GROWTH_BYTES_MAX
    assert waiting == {"pending"}
    assert slowest_seconds - usual_seconds < LONGER_SECONDS_MAX
    assert_each_is_charged_once_and_notified(stack, demo, before + during, 45)
