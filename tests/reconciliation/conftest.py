"""A shop at the simulated gateway, on its first day."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from local.testkit.payments import control_gateway
from paybridge.database.database import Database, Statement
from tests.support.reconciling import Shop

EMPTY = Statement("""
    TRUNCATE operations, outbox, late_checks, charges_to_return, gateway_statements, gateway_statement_lines,
             gateway_statement_leftovers, reconciliations, reconciliation_breaks, reconciliation_break_actions
""")


@pytest_asyncio.fixture
async def shop(database: Database, gateway_url: str) -> AsyncIterator[Shop]:
    """A merchant over the module's database and gateway, without what other tests have left there."""
    database.run(EMPTY)
    control_gateway(gateway_url, ahead_seconds=0, faults=[], reversal_seconds=2, pending_seconds=3)
    shop = Shop(database, gateway_url)
    await shop.statement.leave_out_what_is_there(shop.clock.now())
    yield shop
    await shop.close()
