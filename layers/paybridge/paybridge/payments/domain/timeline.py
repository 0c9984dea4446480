"""The order of a payment's timeline: causes before their effects, and otherwise by time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import Any

from paybridge.core.events import PAYMENT_CREATED, PAYMENT_PROCESSING, WEBHOOK_EXHAUSTED
from paybridge.payments.domain.query import TimelineEntry

RELAYED = "event.relayed"
ATTEMPT_STARTED = "gateway.attempt_started"
ATTEMPT_PENDING = "gateway.attempt_pending"
CHARGE_TO_RETURN = "gateway.charge_to_return"
WEBHOOK_SCHEDULED = "webhook.scheduled"

# What happens first at equal times, where no cause says so. One transaction ends an attempt and settles its payment.
_STAGES = (
    PAYMENT_CREATED,
    PAYMENT_PROCESSING,
    ATTEMPT_STARTED,
    ATTEMPT_PENDING,
    "gateway.attempt_",
    "payment.",
    CHARGE_TO_RETURN,
    RELAYED,
    WEBHOOK_SCHEDULED,
    "webhook.attempt_",
    WEBHOOK_EXHAUSTED,
)

# What an entry is about: ("event", id), ("attempt started", number) and so on. It is unique in a timeline.
Fact = tuple[Any, ...]

# Which details make an entry of a type unique, and what its fact is called if not like its type.
_FACTS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    (RELAYED, None, ("event_id",)),
    (ATTEMPT_STARTED, None, ("number",)),
    (ATTEMPT_PENDING, None, ("number",)),
    ("gateway.attempt_", "attempt ended", ("number",)),
    (CHARGE_TO_RETURN, None, ("gateway_id",)),
    (WEBHOOK_SCHEDULED, None, ("delivery_id",)),
    ("webhook.attempt_", "webhook attempt", ("delivery_id", "number")),
    ("", "event", ("event_id",)),
)


def in_causal_order(entries: Iterable[TimelineEntry]) -> list[TimelineEntry]:
    """Return the entries with every cause before its effects, and otherwise the oldest first.

    Clocks of different machines may disagree, and one transaction gives many entries the same time. The relay notes a
    publication after the consumer may have acted on it: such an entry has the time of its first effect.
    """
    facts = {_fact(entry): entry for entry in entries}
    causes = {fact: [cause for cause in _causes(fact, facts) if cause in facts] for fact in facts}
    _date_publications(facts, causes)
    return [facts[fact] for fact in _sorted(facts, causes)]


def _date_publications(facts: dict[Fact, TimelineEntry], causes: Mapping[Fact, Sequence[Fact]]) -> None:
    for effect, its_causes in causes.items():
        for cause in its_causes:
            if cause[0] == RELAYED and facts[effect].at < facts[cause].at:
                published = facts["event", cause[1]].at if ("event", cause[1]) in facts else facts[effect].at
                facts[cause] = replace(facts[cause], at=max(facts[effect].at, published))


def _sorted(facts: Mapping[Fact, TimelineEntry], causes: Mapping[Fact, Sequence[Fact]]) -> list[Fact]:
    """Sort topologically, and among what may come next take the oldest."""
    sorter = TopologicalSorter(causes)
    sorter.prepare()
    ordered: list[Fact] = []
    ready: list[Fact] = []
    while sorter.is_active():
        ready += sorter.get_ready()
        ready.sort(key=lambda fact: _key(facts[fact]), reverse=True)
        ordered.append(ready.pop())
        sorter.done(ordered[-1])
    return ordered


def _key(entry: TimelineEntry) -> tuple[Any, ...]:
    stage = next((place for place, stage in enumerate(_STAGES) if entry.type.startswith(stage)), len(_STAGES))
    return entry.at, stage, entry.sequence or 0, entry.details.get("number") or 0


def _fact(entry: TimelineEntry) -> Fact:
    kind, names = next(((kind, names) for prefix, kind, names in _FACTS if entry.type.startswith(prefix)))
    return kind or entry.type, *(entry.details[name] for name in names)


def _causes(fact: Fact, facts: Mapping[Fact, TimelineEntry]) -> list[Fact]:
    """Return what must have happened before, whether it is in the timeline or not."""
    match fact:
        case ("event", _):
            return _earlier_event(fact, facts)
        case ("event.relayed", event_id):
            return [("event", event_id)]
        case ("webhook.scheduled", _):
            event_id = facts[fact].details["event_id"]
            return [("event", event_id), (RELAYED, event_id)]
        case ("webhook attempt", delivery_id, number):
            return [(WEBHOOK_SCHEDULED, delivery_id), ("webhook attempt", delivery_id, number - 1)]
        case _:
            return _causes_at_the_gateway(fact, facts)


def _causes_at_the_gateway(fact: Fact, facts: Mapping[Fact, TimelineEntry]) -> list[Fact]:
    match fact:
        case ("gateway.attempt_started", 1):
            return [each for each, entry in facts.items() if entry.type in (PAYMENT_CREATED, PAYMENT_PROCESSING)] + [
                (RELAYED, each[1]) for each, entry in facts.items() if entry.type == PAYMENT_CREATED
            ]
        case ("gateway.attempt_started", number):
            # The one before may have ended later, when its answer came after all.
            ended = facts.get(("attempt ended", number - 1))
            has_ended = ended is not None and ended.at <= facts[fact].at
            return [(ATTEMPT_STARTED, number - 1), *([("attempt ended", number - 1)] if has_ended else [])]
        case ("gateway.attempt_pending", number):
            return [(ATTEMPT_STARTED, number)]
        case ("attempt ended", number):
            return [(ATTEMPT_STARTED, number), (ATTEMPT_PENDING, number)]
        case _:
            return []


def _earlier_event(fact: Fact, facts: Mapping[Fact, TimelineEntry]) -> list[Fact]:
    """Return the event before this one, and for the first attempt's event the publication of the payment."""
    entry = facts[fact]
    earlier = [
        each
        for each, other in facts.items()
        if each[0] == "event" and other.sequence is not None and other.sequence == (entry.sequence or 0) - 1
    ]
    if entry.type == PAYMENT_PROCESSING:
        earlier += [(RELAYED, each[1]) for each in earlier]
    return earlier
