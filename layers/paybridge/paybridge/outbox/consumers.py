"""Which queues take events from the topic exchange, and by which keys. Each can be named as the consumer of a replay.

infra/topology.json declares the same bindings, and tests/architecture/test_names_agree.py holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping

from paybridge.core.events import OUTCOME_TYPES
from paybridge.outbox.queues import BRIDGE_QUEUE, LEDGER_QUEUE, NOTIFICATIONS_QUEUE
from paybridge.outbox.routes import WEBHOOKS_KEY

_PAYMENT_OUTCOMES = tuple(type_ for type_ in OUTCOME_TYPES if type_.startswith("payment."))

EVENT_CONSUMERS: Mapping[str, tuple[str, ...]] = {
    WEBHOOKS_KEY: (*_PAYMENT_OUTCOMES, "refund.*", "payout.*", "webhook_endpoint.*"),
    NOTIFICATIONS_QUEUE: ("payment.*", "refund.*", "payout.*", "webhook_endpoint.*"),
    BRIDGE_QUEUE: ("payment.*", "refund.*", "webhook_endpoint.*", "payout.*", "charge.*"),
    LEDGER_QUEUE: ("payment.*", "refund.*", "payout.*", "charge.*"),
}
