"""The broker brings the ledger every event that a posting rule is about."""

from __future__ import annotations

import pytest

from paybridge.ledger.domain.rules import POSTED_TYPES
from paybridge.outbox.routes import EVENTS_EXCHANGE, route
from tests.architecture.test_webhook_bindings import BINDINGS, is_match


@pytest.mark.parametrize("type_", sorted(POSTED_TYPES))
def test_the_queue_gets_every_event_that_is_posted(type_: str) -> None:
    exchange, key = route(type_)
    patterns = [one["routing_key"] for one in BINDINGS if (one["source"], one["destination"]) == (exchange, "ledger")]
    assert exchange == EVENTS_EXCHANGE
    assert any(is_match(pattern, key) for pattern in patterns)
