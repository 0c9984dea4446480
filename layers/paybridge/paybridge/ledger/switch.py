"""Make a rebuilt book the live one.

The switch holds the live book for one short transaction, in which it posts what has committed since. Postings wait for
it, and then go to the new book. Events that the old book has not posted yet come to the new one in the usual way.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from paybridge.core.archived_months import MonthsArchived
from paybridge.core.errors import LockTimeout
from paybridge.database.database import Transaction
from paybridge.ledger.build import SLICE_EVENTS, next_range, post_range
from paybridge.ledger.carry_corrections import carry_corrections
from paybridge.ledger.domain.rebuild import LOG_BEGIN, OUTDATED, Rebuild, RebuildState
from paybridge.ledger.ports import RebuildServices, find_away
from paybridge.ledger.store import books, event_log, rebuilds

# How long the switch waits for the batches that post at that moment.
LOCK_SECONDS_MAX = 5.0
# Events that are posted while the live book is held.
LAST_EVENTS_MAX = 5000
CATCH_UPS_MAX = 1000


class SwitchRefused(Exception):
    """The books cannot be switched; the message says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RebuildUnknown(Exception):
    """There is no such rebuild."""


def switch_books(
    services: RebuildServices, rebuild_id: UUID, *, actor: str, accept_differences: str | None = None
) -> Rebuild:
    """Make the book of a finished rebuild the live one. The second time changes nothing.

    Books that differ are switched only with a reason, `accept_differences`, which is recorded. Raises SwitchRefused,
    RebuildUnknown, DatabaseUnavailable, and LockTimeout if postings hold the live book for too long.
    """
    catch_up(services, rebuild_id, accept_differences)
    with services.database.transaction(LOCK_SECONDS_MAX) as transaction:
        rebuild = rebuilds.lock(transaction, rebuild_id)
        if rebuild is None:
            raise RebuildUnknown
        if rebuild.switched_at is not None:
            return rebuild
        switched = carry_out_switch(services, transaction, rebuild, actor=actor, reason=accept_differences)
        rebuilds.save(transaction, switched)
    return switched


def catch_up(services: RebuildServices, rebuild_id: UUID, reason: str | None) -> None:
    """Post what has committed since the proof, so that little is left for the switch.

    Raises SwitchRefused, and LockTimeout if events commit faster than they can be posted.
    """
    for _ in range(CATCH_UPS_MAX):
        with services.database.transaction() as transaction:
            rebuild = rebuilds.lock(transaction, rebuild_id)
            if rebuild is None or rebuild.switched_at is not None:
                return
            _ensure_switchable(services, transaction, rebuild, reason)
            caught_up, is_last = catch_up_slice(services, transaction, rebuild)
            rebuilds.save(transaction, caught_up)
        if is_last:
            return
    raise LockTimeout("the rebuilt book is still behind the log; what was posted counts, so switch again")


def carry_out_switch(
    services: RebuildServices, transaction: Transaction, rebuild: Rebuild, *, actor: str, reason: str | None
) -> Rebuild:
    """Switch within the transaction, which holds the rebuild; return it as switched.

    Raises SwitchRefused, and LockTimeout if another switch is still catching up.
    """
    _ensure_switchable(services, transaction, rebuild, reason)
    # The last events are read from the end of the range on, so nothing of the range may be left.
    if rebuild.position != LOG_BEGIN:
        raise LockTimeout("another switch to this book is posting what has committed since")
    live, successor = books.lock(transaction, rebuild.live_book), books.lock(transaction, rebuild.book)
    if live is None or live.state != "live" or successor is None or successor.state != "building":
        raise SwitchRefused("rebuild_outdated", OUTDATED)
    posted = _post_last(services, transaction, rebuild)
    posted += carry_corrections(transaction, live.id, successor.id)
    now = services.clock.now()
    books.switch(transaction, live.id, successor.id, now)
    return replace(
        rebuild, journals=rebuild.journals + posted, switched_at=now, switched_by=actor, switch_reason=reason
    )


def _ensure_switchable(
    services: RebuildServices, transaction: Transaction, rebuild: Rebuild, reason: str | None
) -> None:
    if rebuild.state is not RebuildState.FINISHED:
        raise SwitchRefused("rebuild_not_finished", f"The rebuild is {rebuild.state}. Switch once it is finished.")
    if rebuild.rules_version != services.rules_version:
        text = f"The book was built by version {rebuild.rules_version} of the rules. Start a new rebuild."
        raise SwitchRefused("rebuild_outdated", text)
    if not rebuild.equal and not reason:
        text = "The books differ. Accept the differences with a reason if the live book is the wrong one."
        raise SwitchRefused("books_differ", text)
    # What has committed since the proof is read from the log, and the next proof reads all of it.
    if months := find_away(services, transaction):
        raise SwitchRefused("months_archived", str(MonthsArchived(months)))


def catch_up_slice(services: RebuildServices, transaction: Transaction, rebuild: Rebuild) -> tuple[Rebuild, bool]:
    """Post a part of what has committed since; tell whether the rest is for the switch itself.

    Raises SwitchRefused if the book has been dropped, or is being dropped.
    """
    book = books.share(transaction, rebuild.book)
    if book is None or book.state != "building":
        raise SwitchRefused("rebuild_outdated", "The rebuilt book has been dropped. Start a new rebuild.")
    if rebuild.position == LOG_BEGIN:
        rebuild = next_range(rebuild, event_log.find_horizon(transaction))
    posted = post_range(services, transaction, rebuild, SLICE_EVENTS)
    counted = replace(
        rebuild, events=rebuild.events + len(posted.logged), journals=rebuild.journals + len(posted.journals)
    )
    if len(posted.logged) == SLICE_EVENTS:
        return replace(counted, position=posted.logged[-1].position), False
    return replace(counted, position=LOG_BEGIN), True


def _post_last(services: RebuildServices, transaction: Transaction, rebuild: Rebuild) -> int:
    """Post every event that is committed and not before `until_xid`; return how many journals are new.

    The live book is held, so its events are among them: an event is posted only after it was committed.
    """
    everything = replace(rebuild, from_xid=rebuild.until_xid, until_xid=event_log.XID_MAX, position=LOG_BEGIN)
    posted = post_range(services, transaction, everything, LAST_EVENTS_MAX + 1)
    if len(posted.logged) > LAST_EVENTS_MAX:
        raise LockTimeout("too many events for one switch: a long transaction keeps the log from being read to its end")
    return len(posted.journals)
