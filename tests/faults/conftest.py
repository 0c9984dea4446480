"""The demo merchant at the session's stack, whose parts the tests stop and kill; each test leaves it whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.seed import DEMO_API_KEY
from local.stack.stack import Stack
from local.testkit.live import Merchant, leaks, merchant
from local.testkit.payments import control_gateway


@pytest.fixture
def demo(stack: Stack) -> Iterator[Merchant]:
    """The merchant; afterwards what was logged amid the fault is looked through, for errors are where secrets leak."""
    with merchant(stack, DEMO_API_KEY) as one:
        yield one
    assert leaks(stack.settings.logs_dir) == []


@pytest.fixture
def slow_gateway(stack: Stack) -> Iterator[None]:
    """A gateway that takes its time, so that there is something to interrupt."""
    control_gateway(stack.urls.gateway, latency_seconds_min=0.5, latency_seconds_max=2.0)
    yield
    control_gateway(stack.urls.gateway, latency_seconds_min=0.0, latency_seconds_max=0.0)
