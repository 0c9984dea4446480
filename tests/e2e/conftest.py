"""The merchants of the session's stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.stack.seed import DEMO_API_KEY, OTHER_API_KEY
from local.stack.stack import Stack
from local.testkit.live import Merchant, merchant


@pytest.fixture(scope="session")
def demo(stack: Stack) -> Iterator[Merchant]:
    with merchant(stack, DEMO_API_KEY) as one:
        yield one


@pytest.fixture(scope="session")
def other(stack: Stack) -> Iterator[Merchant]:
    with merchant(stack, OTHER_API_KEY) as one:
        yield one
