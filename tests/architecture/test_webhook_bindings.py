"""The broker brings webhooks, notifications and the bridge every event that merchants hear of, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from paybridge.core import events
from paybridge.core.events import ENDPOINT_TYPES, OUTCOME_TYPES, PAYOUT_TYPES, PUBLISHED_TYPES, RECONCILIATION_TYPES
from paybridge.outbox.routes import EVENTS_EXCHANGE, route
from paybridge.runners import bridge

PROJECT = Path(__file__).parents[2]
BINDINGS = json.loads((PROJECT / "infra/topology.json").read_text())["bindings"]
FACTS = frozenset(
    value
    for name, value in vars(events).items()
    if name.isupper()
    and name != "WEBHOOK_ENDPOINT_TEST"
    and isinstance(value, str)
    and re.fullmatch(r"(payment|refund|charge|payout|webhook(_endpoint)?|reconciliation)\.[a-z_]+", value)
)

# A test of an endpoint is a delivery, and never published.
HEARD_OF = {
    "webhooks": {*OUTCOME_TYPES, *PAYOUT_TYPES, *ENDPOINT_TYPES, *RECONCILIATION_TYPES},
    "notifications": set(PUBLISHED_TYPES),
    "bridge": set(bridge.FACT_TYPES),
}

Binding = Mapping[str, str]


def is_match(pattern: str, key: str) -> bool:
    """Tell whether a topic exchange routes the key by the pattern: `*` is one word."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^.]+"), key) is not None


def delivered(bindings: Sequence[Binding], queue: str) -> set[str]:
    """The types of facts that reach the queue."""
    patterns = [
        one["routing_key"] for one in bindings if (one["source"], one["destination"]) == (EVENTS_EXCHANGE, queue)
    ]
    published = {fact: key for fact in FACTS for exchange, key in [route(fact)] if exchange == EVENTS_EXCHANGE}
    return {fact for fact, key in published.items() if any(is_match(pattern, key) for pattern in patterns)}


@pytest.mark.parametrize("queue", HEARD_OF)
def test_the_queue_gets_what_merchants_hear_of(queue: str) -> None:
    assert delivered(BINDINGS, queue) == HEARD_OF[queue]


@pytest.mark.parametrize(
    ("queue", "lost"),
    sorted(
        (one["destination"], one["routing_key"])
        for one in BINDINGS
        if one["source"] == EVENTS_EXCHANGE and one["destination"] in HEARD_OF
    ),
)
def test_a_binding_that_is_lost_is_noticed(queue: str, lost: str) -> None:
    left = [one for one in BINDINGS if (one["destination"], one["routing_key"]) != (queue, lost)]
    assert delivered(left, queue) < HEARD_OF[queue]
