"""What the client says about a stack without a clock."""

from __future__ import annotations

import pytest

from local.clock.client import ClockRequestError, advance
from local.servers.processes import free_port


def test_says_that_nothing_answers() -> None:
    with pytest.raises(ClockRequestError, match="does not answer"):
        advance(f"http://127.0.0.1:{free_port()}", 5)
