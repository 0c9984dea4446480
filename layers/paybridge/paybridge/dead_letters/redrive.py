"""Redrive dead letters: publish them again to the queue in which they died, through the outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paybridge.database.database import Transaction
from paybridge.dead_letters.domain import Selection
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.store import changing
from paybridge.dead_letters.store.changing import Candidate, RedriveRow
from paybridge.outbox import store as outbox
from paybridge.outbox.queues import REDRIVE_QUEUES

# One transaction marks them all. Further ones take another redrive.
MATCHED_MAX = 5_000
# A cause that is not mended brings them all back, so they do not come at once.
RATE_PER_SECOND = 20.0
RATE_PER_SECOND_MAX = 1_000.0
# A redrive cannot be taken back. At this rate the largest one takes 14 hours.
RATE_PER_SECOND_MIN = 0.1
# Reasons may differ by a number each.
GROUPS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveOrder:
    """What to redrive, how fast, and who asks. `key` and the SHA-256 of the request belong together."""

    selection: Selection
    rate_per_second: float
    actor: str
    key: str | None = None
    request_fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True)
class RedriveAnswer:
    """The answer to a redrive, JSON-ready. `replayed` says that an earlier request got it."""

    body: Mapping[str, Any]
    replayed: bool = False


class RedriveKeyReused(Exception):
    """The operator has sent this idempotency key with another request."""


def plan_redrive(services: DeadLetterServices, order: RedriveOrder) -> RedriveAnswer:
    """Return what the redrive would do, and change nothing. Raises DatabaseUnavailable."""
    with services.database.transaction() as transaction:
        found = changing.candidates(transaction, order.selection, REDRIVE_QUEUES, MATCHED_MAX + 1, locked=False)
        others = _count_others(transaction, order.selection)
    return RedriveAnswer(_answer(None, found, others, order.rate_per_second))


def redrive_dead_letters(services: DeadLetterServices, order: RedriveOrder) -> RedriveAnswer:
    """Redrive what is dead in the selection. A second time finds nothing dead and changes nothing.

    Raises RedriveKeyReused, DatabaseUnavailable and LockTimeout.
    """
    with services.database.transaction() as transaction:
        earlier = _earlier(transaction, order)
        if earlier is not None:
            return earlier
        found = changing.candidates(transaction, order.selection, REDRIVE_QUEUES, MATCHED_MAX + 1, locked=True)
        others = _count_others(transaction, order.selection)
        redrive_id = services.ids.new()
        answer = _answer(str(redrive_id), found, others, order.rate_per_second)
        taken = found[:MATCHED_MAX]
        outbox_ids = {candidate.id: services.ids.new() for candidate in taken}
        row = RedriveRow(
            id=redrive_id,
            actor=order.actor,
            selection=_selection_view(order.selection),
            rate_per_second=order.rate_per_second,
            matched=len(taken),
            answer=answer,
            key=order.key,
            request_fingerprint=order.request_fingerprint,
        )
        changing.start_redrive(transaction, row, outbox_ids, services.clock.now())
        outbox.add_redrives(
            transaction,
            [
                (outbox_ids[candidate.id], candidate.queue, number / order.rate_per_second)
                for number, candidate in enumerate(taken)
            ],
        )
    return RedriveAnswer(answer)


def _earlier(transaction: Transaction, order: RedriveOrder) -> RedriveAnswer | None:
    if order.key is None:
        return None
    found = changing.find_redrive(transaction, order.actor, order.key)
    if found is None:
        return None
    request_fingerprint, answer = found
    if request_fingerprint != order.request_fingerprint:
        raise RedriveKeyReused
    return RedriveAnswer(answer, replayed=True)


def _count_others(transaction: Transaction, selection: Selection) -> int:
    return changing.count_others(transaction, selection, REDRIVE_QUEUES, MATCHED_MAX)


def _answer(redrive_id: str | None, found: Sequence[Candidate], others: int, rate_per_second: float) -> dict[str, Any]:
    """Return the answer; `found` has one more than MATCHED_MAX if there are more."""
    taken = found[:MATCHED_MAX]
    kinds = Counter((candidate.queue, candidate.reason, candidate.fingerprint) for candidate in taken)
    return {
        "redrive_id": redrive_id,
        "matched": len(taken),
        "would": {
            "publish": [
                {"queue": queue, "reason": reason, "fingerprint": fingerprint, "count": count}
                for (queue, reason, fingerprint), count in kinds.most_common(GROUPS_MAX)
            ],
            "rate_per_second": rate_per_second,
            "seconds": round(max(len(taken) - 1, 0) / rate_per_second, 3),
            "has_more": len(found) > MATCHED_MAX,
            # They came from no queue that can be redriven, such as a message put into the dead-letter queue by hand.
            "not_redrivable": others,
        },
    }


def _selection_view(selection: Selection) -> dict[str, Any]:
    values = {
        "ids": [str(id_) for id_ in selection.ids] if selection.ids is not None else None,
        "fingerprint": selection.fingerprint,
        "queue": selection.queue,
    }
    return {name: value for name, value in values.items() if value is not None}
