"""The database has fewer connections than the API has environments: callers come again, and nothing is lost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.flash_sale import hold
from bench.target import target_of
from local.stack.stack import Stack
from tests.support.faults import connections_limited, kill_environments

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

# Fewer than the front lets in at once, so a caller that is refused was refused by an environment without a connection.
PAYMENTS = 150
LIMITED_SECONDS = 5


@pytest.mark.parametrize("connections_left", [0, 1])
def test_all_are_accepted_in_the_end_and_settle(stack: Stack, connections_left: int) -> None:
    # A first sale has the relay and the others open all connections that they need; those they keep.
    hold(target_of(stack.settings), PAYMENTS, lambda _: None).onlooker.close()
    assert kill_environments(stack, "api") > 0
    with ThreadPoolExecutor(1) as buyers:
        with connections_limited(stack, connections_left, killed="api"):
            selling = buyers.submit(hold, target_of(stack.settings), PAYMENTS, lambda _: None)
            time.sleep(LIMITED_SECONDS)
        sale = selling.result()
    sale.onlooker.close()
    assert len(sale.tally.accepted) == PAYMENTS
    assert sale.verdict.faults() == {}
    assert set(sale.tally.statuses) <= {202, 503}
    assert sale.tally.statuses[503] > 0 or connections_left
    assert sale.tally.silent_refusals == 0
