"""A world of deliveries for each test, with a sink that the tests of a module share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from local.testkit.local_servers import running_sink
from local.testkit.payments import WEBHOOK_SECRET
from local.testkit.webhooks import DeliveryWorld
from paybridge.database.connecting import DatabaseAddress
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.webhooks.http import HttpWebhookSender


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    """URL of a running sink."""
    with running_sink(WEBHOOK_SECRET) as url:
        yield url


@pytest_asyncio.fixture
async def world(database_address: DatabaseAddress, sink: str) -> AsyncIterator[DeliveryWorld]:
    """Merchants, payments and deliveries in the module's database, sent over real HTTP."""
    async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
        world = DeliveryWorld(database_address, sender, sink)
        yield world
        world.close()
