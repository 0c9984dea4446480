"""Post the events of the log into a book that is being built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.ledger.domain.journals import Journal
from paybridge.ledger.domain.rebuild import LOG_BEGIN, Rebuild, RebuildPhase
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.post import readable_journals
from paybridge.ledger.store import building, event_log
from paybridge.ledger.store import journals as journal_store
from paybridge.ledger.store.event_log import LoggedEvent

# Events of one transaction, which takes about half a second.
SLICE_EVENTS = 4000


class PreparedSlice(NamedTuple):
    """The next events of the log and their journals, and the events whose money cannot be read."""

    logged: Sequence[LoggedEvent]
    journals: Sequence[Journal]
    unreadable: Sequence[UUID]


class Ahead(Protocol):
    """Prepares the next slice while the database writes this one."""

    def take(self, rebuild: Rebuild) -> PreparedSlice | None:
        """Return what was prepared for this rebuild as it is, None if nothing was."""
        ...

    def begin(self, rebuild: Rebuild) -> None:
        """Prepare the next slice of this rebuild."""
        ...


def build_slice(
    services: RebuildServices, transaction: Transaction, rebuild: Rebuild, ahead: Ahead | None = None
) -> Rebuild:
    """Post the next events of the range of transactions that is being read; go on to the next range at its end."""
    prepared = ahead.take(rebuild) if ahead is not None else None
    logged, journals, unreadable = prepared or prepare(services, transaction, rebuild, SLICE_EVENTS)
    began = rebuild.position
    worked = replace(
        rebuild,
        position=logged[-1].position if logged else rebuild.position,
        events=rebuild.events + len(logged),
        journals=rebuild.journals + len(journals),
        unreadable=rebuild.unreadable + len(unreadable),
        first_unreadable=rebuild.first_unreadable or next(iter(unreadable), None),
    )
    if ahead is not None and len(logged) == SLICE_EVENTS:
        ahead.begin(worked)
    # Each event of the range is read once, so none of these journals is there.
    building.post(transaction, rebuild.book, journals)
    if len(logged) == SLICE_EVENTS:
        return worked
    if began == LOG_BEGIN:
        # The whole range was one slice: what has come since is little, and no reason to delay the proof.
        return replace(worked, phase=RebuildPhase.PROVING, position=LOG_BEGIN)
    return next_range(worked, event_log.find_horizon(transaction))


def prepare(services: RebuildServices, transaction: Transaction, rebuild: Rebuild, limit: int) -> PreparedSlice:
    """Read the next events and make their journals. One that cannot be read fails no other."""
    logged = read_range(services, transaction, rebuild, limit)
    bodies = [(each.position.event_id, each.body) for each in logged]
    journals, unreadable = readable_journals(transaction, bodies, services.rules)
    return PreparedSlice(logged, journals, [*unreadable])


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


def post_range(services: RebuildServices, transaction: Transaction, rebuild: Rebuild, limit: int) -> PreparedSlice:
    """Post the next events into a book that is proved. Those that are there already change nothing.

    Return the journals that are new.
    """
    logged, journals, unreadable = prepare(services, transaction, rebuild, limit)
    new = journal_store.post(transaction, rebuild.book, journals)
    return PreparedSlice(logged, [each for each in journals if (each.event_id, each.rule) in new], unreadable)
