"""The database has fewer connections than the API has environments: callers come again, and nothing is lost."""

import pytest

from bench.flash_sale import hold
from bench.target import target_of
from local.stack import Stack
from tests.support.faults import connections_limited, kill_environments

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

PAYMENTS = 150
CONNECTIONS_LEFT = 3


def test_all_are_accepted_in_the_end_and_settle(stack: Stack) -> None:
    # A first sale has the relay and the others open all connections that they need; those they keep.
    hold(target_of(stack.settings), PAYMENTS, lambda _: None).onlooker.close()
    assert kill_environments(stack, "api") > 0
    with connections_limited(stack, CONNECTIONS_LEFT):
        sale = hold(target_of(stack.settings), PAYMENTS, lambda _: None)
    sale.onlooker.close()
    assert len(sale.tally.accepted) == PAYMENTS
    assert sale.verdict.faults() == {}
    # Fewer than the front lets in at once, so whoever was refused was so by an environment without a connection.
    assert set(sale.tally.statuses) == {202, 503}
    assert sale.tally.silent_refusals == 0
