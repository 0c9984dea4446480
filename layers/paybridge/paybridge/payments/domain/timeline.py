"""The order of a payment's timeline: causes before their effects, and otherwise by time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Any

from paybridge.core.events import (
    PAYMENT_CREATED,
    PAYMENT_FAILED,
    PAYMENT_PROCESSING,
    PAYMENT_REVIEW,
    REFUND_CREATED,
    WEBHOOK_EXHAUSTED,
)
from paybridge.payments.domain.operation import FIRST_KINDS
from paybridge.payments.domain.query import TimelineEntry

RELAYED = "event.relayed"
OPERATION_ACCEPTED = "operation.accepted"
ATTEMPT_STARTED = "gateway.attempt_started"
ATTEMPT_PENDING = "gateway.attempt_pending"
CHARGE_TO_RETURN = "gateway.charge_to_return"
REFUND_REVERSED = "gateway.refund_reversed"
SCREENED = "screening.decided"
WEBHOOK_SCHEDULED = "webhook.scheduled"
NOTIFICATION_SCHEDULED = "notification.scheduled"

# What happens first at equal times, where no cause says so. One transaction ends an attempt and settles its payment,
# and may begin to undo what the gateway has done.
_STAGES = (
    PAYMENT_CREATED,
    SCREENED,
    "review.",
    PAYMENT_PROCESSING,
    REFUND_CREATED,
    ATTEMPT_STARTED,
    ATTEMPT_PENDING,
    "gateway.attempt_",
    REFUND_REVERSED,
    "refund.",
    "payment.",
    CHARGE_TO_RETURN,
    OPERATION_ACCEPTED,
    RELAYED,
    WEBHOOK_SCHEDULED,
    "webhook.attempt_",
    WEBHOOK_EXHAUSTED,
    NOTIFICATION_SCHEDULED,
    "notification.",
)

# What an entry is about: ("event", id), ("attempt started", operation, number) and so on. It is unique in a timeline.
Fact = tuple[Any, ...]

# Which details make an entry of a type unique, and what its fact is called if not like its type.
_FACTS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    (RELAYED, None, ("event_id",)),
    (SCREENED, None, ()),
    ("review.", "review ended", ()),
    (OPERATION_ACCEPTED, None, ("operation_id",)),
    (ATTEMPT_STARTED, None, ("operation_id", "number")),
    (ATTEMPT_PENDING, None, ("operation_id", "number")),
    ("gateway.attempt_", "attempt ended", ("operation_id", "number")),
    (CHARGE_TO_RETURN, None, ("gateway_id",)),
    (REFUND_REVERSED, None, ("operation_id",)),
    (WEBHOOK_SCHEDULED, None, ("delivery_id",)),
    ("webhook.attempt_", "webhook attempt", ("delivery_id", "number")),
    (NOTIFICATION_SCHEDULED, None, ("notification_id",)),
    ("notification.", "notification attempt", ("notification_id",)),
    ("", "event", ("event_id",)),
)
# What approving or rejecting makes of a payment in review. A cancellation is no answer to the review.
_FROM_THE_REVIEW = frozenset({PAYMENT_PROCESSING, PAYMENT_FAILED})
# The consumer makes these of a new payment. A cancellation does not wait for it.
_FROM_THE_QUEUE = frozenset({PAYMENT_PROCESSING, PAYMENT_REVIEW, PAYMENT_FAILED})


@dataclass(frozen=True, slots=True)
class _Known:
    """The facts of a timeline, and how to find those that are causes of many."""

    facts: dict[Fact, TimelineEntry]
    # By the refund they are about, None for the payment, and their sequence.
    events: dict[tuple[str | None, int], Fact] = field(default_factory=dict)
    # Of the payment, from its creation to the beginning of its charge or authorization.
    beginnings: list[Fact] = field(default_factory=list)
    # How the attempts at the charge or authorization ended that took money.
    takings: list[Fact] = field(default_factory=list)


def in_causal_order(entries: Iterable[TimelineEntry]) -> list[TimelineEntry]:
    """Return the entries with every cause before its effects, and otherwise the oldest first.

    Clocks of different machines may disagree, and one transaction gives many entries the same time. The relay notes a
    publication after the consumer may have acted on it: such an entry has the time of its first effect.
    """
    known = _known({_fact(entry): entry for entry in entries})
    causes = {fact: [cause for cause in _causes(fact, known) if cause in known.facts] for fact in known.facts}
    _date_publications(known.facts, causes)
    return [known.facts[fact] for fact in _sorted(known.facts, causes)]


def _known(facts: dict[Fact, TimelineEntry]) -> _Known:
    known = _Known(facts)
    for fact, entry in facts.items():
        if fact[0] == "event" and entry.sequence is not None:
            known.events[entry.details.get("refund_id"), entry.sequence] = fact
            if entry.type in (PAYMENT_CREATED, PAYMENT_PROCESSING):
                known.beginnings.append(fact)
        if entry.type in ("gateway.attempt_succeeded", "gateway.attempt_partial") and _is_first(entry):
            known.takings.append(fact)
    return known


def _is_first(entry: TimelineEntry) -> bool:
    return entry.details["operation"] in FIRST_KINDS


def _date_publications(facts: dict[Fact, TimelineEntry], causes: Mapping[Fact, Sequence[Fact]]) -> None:
    for effect, its_causes in causes.items():
        for cause in its_causes:
            if cause[0] == RELAYED and facts[effect].at < facts[cause].at:
                published = facts["event", cause[1]].at if ("event", cause[1]) in facts else facts[effect].at
                facts[cause] = replace(facts[cause], at=max(facts[effect].at, published))


def _sorted(facts: Mapping[Fact, TimelineEntry], causes: Mapping[Fact, Sequence[Fact]]) -> list[Fact]:
    """Sort topologically, and among what may come next take the oldest."""
    keys = {fact: (*_key(entry), place) for place, (fact, entry) in enumerate(facts.items())}
    sorter = TopologicalSorter(causes)
    sorter.prepare()
    ordered: list[Fact] = []
    ready: list[tuple[tuple[Any, ...], Fact]] = []
    while sorter.is_active():
        for fact in sorter.get_ready():
            heapq.heappush(ready, (keys[fact], fact))
        _, oldest = heapq.heappop(ready)
        ordered.append(oldest)
        sorter.done(oldest)
    return ordered


def _key(entry: TimelineEntry) -> tuple[Any, ...]:
    stage = next((place for place, stage in enumerate(_STAGES) if entry.type.startswith(stage)), len(_STAGES))
    return entry.at, stage, entry.sequence or 0, entry.details.get("number") or 0


def _fact(entry: TimelineEntry) -> Fact:
    kind, names = next(((kind, names) for prefix, kind, names in _FACTS if entry.type.startswith(prefix)))
    return kind or entry.type, *(entry.details[name] for name in names)


def _causes(fact: Fact, known: _Known) -> list[Fact]:
    """Return what must have happened before, whether it is in the timeline or not."""
    match fact:
        case ("event", _):
            return _causes_of_event(known.facts[fact], known)
        case ("event.relayed", event_id):
            return [("event", event_id)]
        case ("screening.decided",) | ("review ended",):
            return _causes_of_decision(fact, known)
        case ("webhook.scheduled" | "notification.scheduled", _):
            event_id = known.facts[fact].details["event_id"]
            return [("event", event_id), (RELAYED, event_id)]
        case ("notification attempt", _) | ("webhook attempt", _, _):
            return _causes_of_message(fact)
        case _:
            return _causes_at_the_gateway(fact, known)


def _causes_of_message(fact: Fact) -> list[Fact]:
    """Return what comes before an attempt at a webhook, e-mail or SMS."""
    if fact[0] == "notification attempt":
        return [(NOTIFICATION_SCHEDULED, fact[1])]
    return [(WEBHOOK_SCHEDULED, fact[1]), (fact[0], fact[1], fact[2] - 1)]


def _causes_of_decision(fact: Fact, known: _Known) -> list[Fact]:
    if fact == (SCREENED,):
        return _publication(known)
    return [other for other in known.events.values() if known.facts[other].type == PAYMENT_REVIEW]


def _causes_at_the_gateway(fact: Fact, known: _Known) -> list[Fact]:
    match fact:
        case ("operation.accepted" | "gateway.refund_reversed" | "gateway.charge_to_return", _):
            # What comes later than the charge is about its money.
            return known.takings
        case ("gateway.attempt_started", operation_id, 1):
            return _causes_of_operation(operation_id, known.facts[fact], known)
        case ("gateway.attempt_started", operation_id, number):
            # The one before may have ended later, when its answer came after all.
            ended = known.facts.get(("attempt ended", operation_id, number - 1))
            has_ended = ended is not None and ended.at <= known.facts[fact].at
            before = [("attempt ended", operation_id, number - 1)] if has_ended else []
            return [(ATTEMPT_STARTED, operation_id, number - 1), *before]
        case ("gateway.attempt_pending", operation_id, number):
            return [(ATTEMPT_STARTED, operation_id, number)]
        case ("attempt ended", operation_id, number):
            return [(ATTEMPT_STARTED, operation_id, number), (ATTEMPT_PENDING, operation_id, number)]
        case _:
            return []


def _causes_of_operation(operation_id: str, started: TimelineEntry, known: _Known) -> list[Fact]:
    if not _is_first(started):
        created = known.events.get((operation_id, 1))
        return [(OPERATION_ACCEPTED, operation_id), *([created] if created is not None else [])]
    return [*known.beginnings, *_publication(known)]


def _publication(known: _Known) -> list[Fact]:
    """Return the publication of the payment, which leads it to the consumer."""
    created = known.events.get((None, 1))
    return [(RELAYED, created[1])] if created is not None else []


def _causes_of_event(entry: TimelineEntry, known: _Known) -> list[Fact]:
    """Return the event before this one about the same thing.

    For what the consumer makes of a new payment, return the publication of the payment and its screening as well, for
    what follows a review its answer, for a new refund what took its money, and for an exhausted webhook its last
    attempt.
    """
    if entry.type == REFUND_CREATED:
        return known.takings
    before = known.events.get((entry.details.get("refund_id"), (entry.sequence or 0) - 1))
    if entry.type == WEBHOOK_EXHAUSTED:
        last_attempt = ("webhook attempt", entry.details["delivery_id"], entry.details["attempts"])
        return [last_attempt] if before is None else [before, last_attempt]
    if before is None:
        return []
    match known.facts[before].type:
        case "payment.created" if entry.type in _FROM_THE_QUEUE:
            return [before, *_publication(known), (SCREENED,)]
        case "payment.review" if entry.type in _FROM_THE_REVIEW:
            return [before, ("review ended",)]
        case _:
            return [before]
