"""The broker is stopped and started while payments are posted: all are accepted, and all arrive."""

from __future__ import annotations

import pytest

from local.stack.stack import Stack
from local.testkit.live import Merchant
from tests.support.faults import (
    LONGER_SECONDS_MAX,
    assert_each_is_charged_once_and_notified,
    broker_away,
    pay_timed,
)

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.broker, pytest.mark.broker_stops]

PAYMENTS = 30


def test_payments_are_accepted_without_a_broker_and_arrive_with_it(
    stack: Stack, demo: Merchant, slow_gateway: None
) -> None:
    url = f"{stack.urls.sink}/ok/broker"
    before, usual_seconds = pay_timed(demo, PAYMENTS, payment_method=None, webhook_url=url)
    with broker_away(stack):
        during, slowest_seconds = pay_timed(demo, PAYMENTS, payment_method=None, webhook_url=url)
        waiting = demo.get(during[-1])["status"]
    assert waiting == "pending"
    assert slowest_seconds - usual_seconds < LONGER_SECONDS_MAX
    assert_each_is_charged_once_and_notified(stack, demo, before + during, 45)
