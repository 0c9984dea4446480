"""A shop at the simulated gateway, on its first day."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from local.testkit.payments import control_gateway
from paybridge.core.clock import run_ahead
from paybridge.database.database import Database, Statement
from tests.support.reconciling import Shop

EMPTY = Statement("""
    TRUNCATE operations, outbox, late_checks, charges_to_return, gateway_statements, gateway_statement_lines,
             gateway_statement_leftovers, reconciliations, reconciliation_breaks, reconciliation_break_actions
""")


@pytest.fixture(scope="session")
def until_noon() -> timedelta:
    """How far ahead the next noon is: the gateway's clock cannot go back."""
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    return (noon if noon > now else noon + timedelta(days=1)) - now


@pytest.fixture
def noon(until_noon: timedelta) -> Iterator[None]:
    """Let the test's clock show noon, so that what it moves on by hours is the same day at any time of the day."""
    run_ahead(lambda: until_noon)
    yield
    run_ahead(timedelta)


@pytest_asyncio.fixture
async def shop(database: Database, gateway_url: str, noon: None) -> AsyncIterator[Shop]:
    """A merchant over the module's database and gateway, without what other tests have left there."""
    database.run(EMPTY)
    control_gateway(gateway_url, faults=[], reversal_seconds=2, pending_seconds=3)
    shop = Shop(database, gateway_url)
    shop.put_gateway_ahead(0)
    await shop.statement.leave_out_what_is_there(shop.clock.now())
    yield shop
    await shop.close()
