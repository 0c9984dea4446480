"""Bring a batch of events to an EventBridge bus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from paybridge import wiring
from paybridge.bridge.domain.commands import repeated_event
from paybridge.bridge.send import Bridged, Report, note, send
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import BRIDGE_EVENT, INTERNAL_TYPES, PUBLISHED_TYPES, parse_envelope
from paybridge.observability.logging import logger
from paybridge.observability.metrics import Metric, emit_counts
from paybridge.runners.batch import for_each_event, log_results, run_batch
from paybridge.wiring import bridge as bridge_wiring

if TYPE_CHECKING:
    from paybridge.rabbitmq.batch import Batch, Received

# Internal ones too: the listeners are systems of the operator.
FACT_TYPES = frozenset({*PUBLISHED_TYPES, *INTERNAL_TYPES})
HANDLED_TYPES = FACT_TYPES | {BRIDGE_EVENT}

# The largest batch to take. The function's mapping in template.yaml has the same number.
BATCH_MESSAGES = 500

log = logger()


async def handle(batch: Batch, database_patience_seconds: float) -> dict[str, int]:
    """Send the events of the batch; wait up to `database_patience_seconds` if the database is down.

    Raises BrokerUnavailable: the whole batch must be redelivered.
    """
    messages = len(batch.events)
    work = _Work()
    done = await run_batch(batch, work.run, database_patience_seconds)
    return {**done, "messages": messages}


def prepare() -> None:
    """Read every setting and login that a batch needs. Raises SettingsInvalid and SecretUnavailable."""
    wiring.environment().ensure_valid("bridge")
    bridge_wiring.services()


async def close() -> None:
    """Do nothing after the last batch: the client of AWS keeps no connection that has to be closed."""


class _Work:
    """The work on one batch, which may be repeated: what is on the bus is not sent again.

    An event that is there and was not recorded is handed back with the others, and so sent a second time. The audit
    would else miss it for ever.
    """

    def __init__(self) -> None:
        # Messages that are on the bus, by their identity.
        self._sent: dict[int, UUID] = {}

    async def run(self, batch: Batch) -> dict[str, int]:
        received, bridged = _read(batch, self._sent)
        services = bridge_wiring.services()
        report = await send(services, bridged)
        _report(bridged, report)
        self._sent |= {id(received[place]): bridged[place].event.id for place in report.sent}
        await asyncio.to_thread(note, services, set(self._sent.values()), bridged, report)
        batch.poison += [
            _original(received[place], bridged[place]).poison(reason) for place, reason in report.refused.items()
        ]
        return {"sent": len(self._sent), "retried": len(report.retried)}


def _read(batch: Batch, sent: Collection[int]) -> tuple[list[Received], list[Bridged]]:
    """Return the messages that are not sent yet, and the events that they bring."""
    received: list[Received] = []
    bridged: list[Bridged] = []

    def read(one: Received) -> None:
        if id(one) in sent:
            return
        bridged.append(_bridged(one))
        received.append(one)

    for_each_event(batch, read)
    return received, bridged


def _bridged(received: Received) -> Bridged:
    if received.event.type != BRIDGE_EVENT:
        return Bridged(received.event, received.body.decode())
    attempt, body = repeated_event(received.event)
    try:
        event = parse_envelope(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise MalformedMessage("the command carries no event") from None
    if event.type not in FACT_TYPES:
        raise MalformedMessage("the command carries no event")
    return Bridged(event, body, attempt)


def _original(received: Received, bridged: Bridged) -> Received:
    """Return the event as a message, also if a command carried it: to redrive it begins from the first attempt."""
    return replace(received, event=bridged.event, message_id=str(bridged.event.id), body=bridged.body.encode())


def _report(bridged: Sequence[Bridged], report: Report) -> None:
    results = [
        *(_logged(bridged[place], "sent", None) for place in sorted(report.sent)),
        *(_logged(bridged[place], "retrying", reason) for place, reason in report.retried.items()),
        *(_logged(bridged[place], "refused", reason) for place, reason in report.refused.items()),
    ]
    if results:
        log_results("sent events to the bus", "events", results)
    emit_counts(
        log,
        wiring.environment_name(),
        Metric.BRIDGED_EVENTS,
        Counter(str(each["outcome"]) for each in results),
        "Result",
    )


def _logged(bridged: Bridged, outcome: str, error: str | None) -> dict[str, object]:
    event = bridged.event
    return {
        "event_id": str(event.id),
        "type": event.type,
        "payment_id": str(event.payment_id) if event.payment_id else None,
        "attempt": bridged.attempt,
        "outcome": outcome,
        "error": error,
    }
