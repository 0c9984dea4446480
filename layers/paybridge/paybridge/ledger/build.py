"""Post the events of the log into a book that is being built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.ledger.domain.rebuild import LOG_BEGIN, Rebuild, RebuildPhase
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.post import readable_journals
from paybridge.ledger.store import event_log
from paybridge.ledger.store import journals as journal_store
from paybridge.ledger.store.event_log import LoggedEvent

# Events of one transaction, which takes about half a second.
SLICE_EVENTS = 4000


class Posted(NamedTuple):
    """What was posted of some events, and the events whose money cannot be read."""

    journals: int
    unreadable: Sequence[UUID]


def build_slice(services: RebuildServices, transaction: Transaction, rebuild: Rebuild) -> Rebuild:
    """Post the next events of the range of transactions that is being read; go on to the next range at its end."""
    logged = read_range(services, transaction, rebuild, SLICE_EVENTS)
    posted = post_logged(services, transaction, rebuild.book, logged)
    began = rebuild.position
    worked = replace(
        rebuild,
        position=logged[-1].position if logged else rebuild.position,
        events=rebuild.events + len(logged),
        journals=rebuild.journals + posted.journals,
        unreadable=rebuild.unreadable + len(posted.unreadable),
        first_unreadable=rebuild.first_unreadable or next(iter(posted.unreadable), None),
    )
    if len(logged) == SLICE_EVENTS:
        return worked
    if began == LOG_BEGIN:
        # The whole range was one slice: what has come since is little, and no reason to delay the proof.
        return replace(worked, phase=RebuildPhase.PROVING, position=LOG_BEGIN)
    return next_range(worked, event_log.find_horizon(transaction))


def next_range(rebuild: Rebuild, horizon: int) -> Rebuild:
    """Return the rebuild with all events of its range posted, and the range from there until the horizon before it."""
    return replace(rebuild, from_xid=rebuild.until_xid, until_xid=max(horizon, rebuild.until_xid), position=LOG_BEGIN)


def read_range(services: RebuildServices, transaction: Transaction, rebuild: Rebuild, limit: int) -> list[LoggedEvent]:
    """Return the next events of the range of transactions that is being read."""
    return event_log.read_log(
        transaction,
        {rule.event for rule in services.rules},
        after=rebuild.position,
        from_xid=rebuild.from_xid,
        until_xid=rebuild.until_xid,
        limit=limit,
    )


def post_logged(
    services: RebuildServices, transaction: Transaction, book: int, logged: Sequence[LoggedEvent]
) -> Posted:
    """Post events into a book. One that is there already changes nothing. One that cannot be read fails no other."""
    bodies = [(each.position.event_id, each.body) for each in logged]
    journals, unreadable = readable_journals(transaction, bodies, services.rules)
    return Posted(len(journal_store.post(transaction, book, journals)), [*unreadable])
