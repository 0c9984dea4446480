"""Record the messages of a dead-letter queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson

from paybridge.core.errors import LockTimeout
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.core.raw_messages import RawMessage
from paybridge.database import counters
from paybridge.dead_letters.domain import DEAD_LETTERS_RECORDED, ID_CHARACTERS_MAX, Death, death_of
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.store import recording
from paybridge.dead_letters.store.recording import Arrival

# The JSON of one statement. A single message may be larger.
STATEMENT_BYTES_MAX = 4 * 1024 * 1024
# Messages of ours are far smaller. A larger body is not searched for the payment that it is about.
SEARCHED_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded death, with the id of the dead letter and how often the message has died so far."""

    id: UUID
    death: Death
    payment_id: UUID | None
    count: int


def record_dead_letters(services: DeadLetterServices, messages: Sequence[RawMessage]) -> list[Recorded]:
    """Record the messages in one transaction, and return one record for each distinct message.

    A message whose properties the database refuses is recorded without them. Raises DatabaseUnavailable and
    LockTimeout: then some may be recorded, and the messages must be redelivered.
    """
    refused: list[Arrival] = []

    def on_bad_item(arrival: Arrival, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            raise error
        refused.append(arrival)

    def record(arrivals: Sequence[Arrival]) -> list[Recorded]:
        return _record_together(services, arrivals)

    done = run_isolating_bad_items(record, _arrivals(services, messages), on_bad_item)
    bare = [record([_bare(arrival)]) for arrival in refused]
    return [recorded for some in (*done, *bare) for recorded in some]


def _record_together(services: DeadLetterServices, arrivals: Sequence[Arrival]) -> list[Recorded]:
    known = {arrival.death.identity: arrival for arrival in arrivals}
    with services.database.transaction() as transaction:
        now = services.clock.now()
        rows = [row for part in _parts(arrivals) for row in recording.record(transaction, part, now)]
        counters.add(transaction, {DEAD_LETTERS_RECORDED: sum(row.added for row in rows)})
    return [Recorded(row.id, known[row.identity].death, known[row.identity].payment_id, row.count) for row in rows]


def _arrivals(services: DeadLetterServices, messages: Sequence[RawMessage]) -> list[Arrival]:
    """Return one arrival for each distinct message, in the order in which all transactions lock their rows."""
    found: dict[bytes, Arrival] = {}
    for message in messages:
        arrival = _arrival(services.ids.new(), message)
        known = found.get(arrival.death.identity)
        found[arrival.death.identity] = arrival if known is None else arrival._replace(times=known.times + 1)
    return sorted(found.values(), key=lambda arrival: arrival.death.identity)


def _parts(arrivals: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    part: list[Arrival] = []
    size = 0
    for arrival in arrivals:
        if part and size + len(arrival.death.body) > STATEMENT_BYTES_MAX:
            yield part
            part, size = [], 0
        part.append(arrival)
        size += len(arrival.death.body)
    if part:
        yield part


def _bare(arrival: Arrival) -> Arrival:
    """Return the arrival with nothing but its body, which any database takes."""
    return arrival._replace(death=death_of(RawMessage(arrival.death.dead_letter_queue, arrival.death.body)))


def _arrival(id_: UUID, message: RawMessage) -> Arrival:
    """Return the arrival of a message, with what its body says if the properties do not."""
    death, envelope = death_of(message), _envelope(message.body)
    named = replace(
        death,
        message_type=death.message_type or _member(envelope, "type"),
        correlation_id=death.correlation_id or _member(envelope, "correlationid"),
    )
    return Arrival(id_, named, _uuid(_member(envelope, "subject")), 1)


def _envelope(body: bytes) -> dict[str, Any]:
    """Return the members of a body that is a JSON object, such as a CloudEvent; none of any other."""
    if len(body) > SEARCHED_BYTES_MAX:
        return {}
    try:
        envelope = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _member(envelope: dict[str, Any], name: str) -> str:
    value = envelope.get(name)
    return value[:ID_CHARACTERS_MAX].replace("\0", "\ufffd") if isinstance(value, str) else ""


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
