"""The log that `rebuild` writes is posted as a whole, and the books are proved equal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bench import rebuild
from local.testkit.servers import Postgres
from paybridge.ledger import build

pytestmark = pytest.mark.integration

PAYMENTS = 201


def test_every_payment_is_rebuilt_and_proved(postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rebuild.VARIABLE, str(PAYMENTS))
    monkeypatch.setattr(rebuild, "ROUNDS", 2)
    monkeypatch.setattr(build, "SLICE_EVENTS", 50)
    said: list[str] = []
    servers: Any = SimpleNamespace(postgres=postgres_server, say=said.append)
    found = rebuild.measure(servers)
    assert [figure.name for figure in found.figures] == ["build from the log", "prove that both books are equal"]
    assert all(value > 0 for figure in found.figures for value in figure.values)
    assert "equal: True" in said[-1]
