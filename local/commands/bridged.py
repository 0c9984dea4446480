"""The event of the sample payment as another system gets it: by a rule of the EventBridge bus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from local.servers import event_bus
from local.servers.event_bus import Watched
from local.settings import LocalSettings
from local.stack.seed import EVENT_BUS

EVENT_TYPE = "payment.succeeded"


@contextmanager
def watched_bus(settings: LocalSettings) -> Iterator[Watched | None]:
    """Put a rule on the bus for as long as the block runs; None if the endpoint refuses it."""
    from botocore.exceptions import BotoCoreError, ClientError

    with ExitStack() as stack:
        try:
            watched = stack.enter_context(event_bus.watch(settings, EVENT_BUS, f"paybridge-demo-{os.getpid()}"))
        except (BotoCoreError, ClientError):
            watched = None
        yield watched


def render_bridged(events: Iterable[Mapping[str, Any]], payment_id: str) -> str:
    """Return a line for the event that the payment has succeeded, empty if it is not among the events."""
    for event in events:
        if event["detail-type"] == EVENT_TYPE and event["detail"]["subject"] == payment_id:
            return f"  ✓ {EVENT_TYPE} on the EventBridge bus {EVENT_BUS}, event {event['detail']['id']}"
    return ""
