"""Discard a dead letter: nothing more will be done with it."""

from __future__ import annotations

from enum import Enum, auto
from uuid import UUID

from paybridge.dead_letters.domain import State
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.store import changing


class Discarded(Enum):
    """How a discard ended."""

    DONE = auto()
    # It was discarded before, by the same or another operator. Nothing has changed.
    ALREADY = auto()
    UNKNOWN = auto()
    # It is being redriven or was redriven.
    NOT_DEAD = auto()


def discard_dead_letter(services: DeadLetterServices, id_: UUID, *, actor: str, note: str) -> Discarded:
    """Discard the dead letter, with the operator's name and reason. A second time changes nothing.

    Raises DatabaseUnavailable and LockTimeout.
    """
    with services.database.transaction() as transaction:
        letter = changing.lock(transaction, id_)
        if letter is None:
            return Discarded.UNKNOWN
        if letter.state is State.DISCARDED:
            return Discarded.ALREADY
        if letter.state is not State.DEAD:
            return Discarded.NOT_DEAD
        changing.discard(transaction, id_, actor, note, services.clock.now())
        return Discarded.DONE
