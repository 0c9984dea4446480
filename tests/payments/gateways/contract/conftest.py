"""The gateways that keep the contract. A new adapter is one more line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest
import pytest_asyncio

from local.testkit.local_servers import running_gateway
from paybridge.payments.gateways import http, stripe
from tests.payments.gateways.contract.driver import ANSWER_SECONDS_MAX, Gateway
from tests.payments.gateways.contract.simulated import simulated_gateway
from tests.payments.gateways.contract.stripe import stripe_gateway

# How to put each gateway under test.
GATEWAYS: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Gateway]]] = {
    "simulated": lambda request: simulated_gateway(request.getfixturevalue("simulated_url")),
    "stripe": lambda _: stripe_gateway(),
}


@pytest.fixture(scope="module")
def simulated_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The simulated gateway, running for the tests of a module."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "log.jsonl") as url:
        yield url


@pytest_asyncio.fixture(params=list(GATEWAYS))
async def gateway(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """Each gateway in turn, without faults, and with as much time for a look-up as for an operation."""
    monkeypatch.setattr(http, "LOOKUP_TIMEOUT", timedelta(seconds=ANSWER_SECONDS_MAX))
    monkeypatch.setattr(stripe, "LOOK_UP_SECONDS_MAX", ANSWER_SECONDS_MAX)
    async with GATEWAYS[request.param](request) as running:
        yield running
