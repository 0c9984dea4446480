"""Which queues take events from the topic exchange, and by which keys. Each can be named as the consumer of a replay.

infra/topology.json declares the same bindings, and tests/architecture/test_names_agree.py holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from paybridge.core.events import OUTCOME_TYPES
from paybridge.outbox.queues import BRIDGE_QUEUE, LEDGER_QUEUE, NOTIFICATIONS_QUEUE
from paybridge.outbox.routes import WEBHOOKS_KEY

_EVERYTHING = "#"
_PAYMENT_OUTCOMES = tuple(type_ for type_ in OUTCOME_TYPES if type_.startswith("payment."))

EVENT_CONSUMERS: Mapping[str, tuple[str, ...]] = {
    WEBHOOKS_KEY: (*_PAYMENT_OUTCOMES, "refund.*", "payout.*", "webhook_endpoint.*", "reconciliation.*"),
    NOTIFICATIONS_QUEUE: ("payment.*", "refund.*", "payout.*", "webhook_endpoint.*", "reconciliation.*"),
    BRIDGE_QUEUE: ("payment.*", "refund.*", "webhook_endpoint.*", "payout.*", "charge.*", "reconciliation.*"),
    LEDGER_QUEUE: ("payment.*", "refund.*", "payout.*", "charge.*"),
}


def takes(keys: Iterable[str], type_: str) -> bool:
    """Return whether a queue that is bound by the keys gets events of a type, or some of a family."""
    family, _, name = type_.partition(".")
    if name == "*":
        return any(key == _EVERYTHING or key.partition(".")[0] in (family, "*") for key in keys)
    return re.fullmatch(expression_of(keys), type_) is not None


def expression_of(keys: Iterable[str]) -> str:
    """Return the regular expression, for Python and PostgreSQL, of the types that keys or families choose."""
    return f"^(?:{'|'.join(map(_expression, keys))})$"


def expressions_of(consumer: str, types: Iterable[str]) -> tuple[str, str]:
    """Return the expressions of the types that a consumer takes, and of those that are chosen: all if none are."""
    return expression_of(EVENT_CONSUMERS[consumer]), expression_of([*types] or (_EVERYTHING,))


def _expression(key: str) -> str:
    if key == _EVERYTHING:
        return ".+"
    return r"\.".join("[^.]+" if word == "*" else re.escape(word) for word in key.split("."))
