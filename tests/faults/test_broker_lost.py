"""The broker is lost with everything in its queues, and an empty one takes its place: nothing is lost with it."""

from __future__ import annotations

import pytest

from local.servers import rabbitmq
from local.stack.stack import Stack
from local.testkit.live import Merchant
from tests.support.faults import assert_each_is_charged_once_and_notified, broker_away, jobs_often

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

BEFORE, DURING = 20, 10
# The offline stack takes a payment for stuck after a minute, and does so for its webhook as well.
SECONDS_MAX = 240


@pytest.mark.timeout(360)
def test_what_was_in_its_queues_is_sent_on_from_the_database(stack: Stack, demo: Merchant, slow_gateway: None) -> None:
    url = f"{stack.urls.sink}/ok/lost-broker"
    payment_ids = [demo.pay(payment_method=None, webhook_url=url) for _ in range(BEFORE)]
    with broker_away(stack):
        rabbitmq.remove_data(stack.settings)
        payment_ids += [demo.pay(payment_method=None, webhook_url=url) for _ in range(DURING)]
    stack.declare_topology()

    with jobs_often(stack):
        assert_each_is_charged_once_and_notified(stack, demo, payment_ids, SECONDS_MAX)
    # Something was lost indeed: the broker's messages were the only way, but for the net below them.
    jobs = (stack.settings.logs_dir / "JobsFunction.log").read_text(encoding="utf-8")
    assert any(payment_id in line for line in jobs.splitlines() if "stalled" in line for payment_id in payment_ids)
