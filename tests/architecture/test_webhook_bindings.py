"""The broker brings the webhooks function every event that merchants hear of, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from paybridge.core import events
from paybridge.core.events import ENDPOINT_TYPES, OUTCOME_TYPES
from paybridge.outbox.routes import EVENTS_EXCHANGE, route

PROJECT = Path(__file__).parents[2]
BINDINGS = json.loads((PROJECT / "infra/topology.json").read_text())["bindings"]
FACTS = frozenset(
    value
    for name, value in vars(events).items()
    if name.isupper()
    and name != "WEBHOOK_ENDPOINT_TEST"
    and isinstance(value, str)
    and re.fullmatch(r"(payment|refund|webhook(_endpoint)?)\.[a-z_]+", value)
)

# A test of an endpoint is a delivery, and never published.
HEARD_OF = {*OUTCOME_TYPES, *ENDPOINT_TYPES}

Binding = Mapping[str, str]


def is_match(pattern: str, key: str) -> bool:
    """Tell whether a topic exchange routes the key by the pattern: `*` is one word."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^.]+"), key) is not None


def delivered(bindings: Sequence[Binding]) -> set[str]:
    """The types of facts that reach the queue `webhooks`."""
    patterns = [
        one["routing_key"] for one in bindings if (one["source"], one["destination"]) == (EVENTS_EXCHANGE, "webhooks")
    ]
    published = {fact: key for fact in FACTS for exchange, key in [route(fact)] if exchange == EVENTS_EXCHANGE}
    return {fact for fact, key in published.items() if any(is_match(pattern, key) for pattern in patterns)}


def test_the_queue_gets_what_merchants_hear_of() -> None:
    assert delivered(BINDINGS) == HEARD_OF


@pytest.mark.parametrize("lost", sorted(one["routing_key"] for one in BINDINGS if one["source"] == EVENTS_EXCHANGE))
def test_a_binding_that_is_lost_is_noticed(lost: str) -> None:
    left = [one for one in BINDINGS if one["routing_key"] != lost]
    assert delivered(left) < HEARD_OF
