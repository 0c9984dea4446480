"""Build a second book from the event log and prove that it equals the live one.

A rebuild is worked on in slices, each one transaction, by the requests that ask for it and by the function long_jobs.
A worker that is killed loses only its current slice, and the next one goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from uuid import UUID

from paybridge.core.archived_months import MonthsArchived
from paybridge.core.errors import ConstraintViolated, QueryFailed, Unavailable, reason_of
from paybridge.database.database import Transaction
from paybridge.ledger.build import build_slice
from paybridge.ledger.domain.rebuild import OUTDATED, Rebuild, RebuildPhase, RebuildState
from paybridge.ledger.ports import RebuildServices, find_away
from paybridge.ledger.prove import prove_slice
from paybridge.ledger.read_ahead import ReadAhead
from paybridge.ledger.store import books, event_log, rebuilds
from paybridge.ledger.switch import LOCK_SECONDS_MAX, SwitchRefused, carry_out_switch, catch_up_slice

# How long a request works on a rebuild before it answers with the progress.
REQUEST_SECONDS_MAX = 1.0
RUNNING_MAX = 2
# How long the proof waits for events that the live book has not posted yet.
WAIT_SECONDS = 60


class TooManyRebuilds(Exception):
    """Other rebuilds are running, and each one fills the disk with another book."""


def start_rebuild(
    services: RebuildServices, *, actor: str, switch: bool = False, wait_seconds: int = WAIT_SECONDS
) -> Rebuild:
    """Begin a rebuild. With `switch` its book becomes the live one as soon as it is proved equal.

    Until it ends, every month stays in the database. Raises TooManyRebuilds, MonthsArchived, LockTimeout and
    DatabaseUnavailable.
    """
    with services.database.transaction() as transaction:
        if rebuilds.count_running(transaction) >= RUNNING_MAX:
            raise TooManyRebuilds
        if months := find_away(services, transaction):
            raise MonthsArchived(months)
        live = books.find_live(transaction)
        rebuild_id = services.ids.new()
        rebuild = Rebuild(
            id=rebuild_id,
            book=books.add_building(transaction, rebuild_id, services.rules_version),
            live_book=live.id,
            rules_version=services.rules_version,
            state=RebuildState.RUNNING,
            phase=RebuildPhase.BUILDING,
            actor=actor,
            created_at=services.clock.now(),
            until_xid=event_log.find_horizon(transaction),
            wait_seconds=wait_seconds,
            switch_wanted=switch,
            journals_expected=books.estimate_journals(transaction, live.id),
        )
        rebuilds.add(transaction, rebuild)
    return rebuild


def read_rebuild(services: RebuildServices, rebuild_id: UUID) -> Rebuild | None:
    """Return a rebuild after some more work on it; None if there is none. Raises DatabaseUnavailable."""
    rebuild = rebuilds.find(services.database, rebuild_id)
    if rebuild is None or rebuild.state is not RebuildState.RUNNING:
        return rebuild
    return work_on(services, rebuild_id, REQUEST_SECONDS_MAX) or rebuilds.find(services.database, rebuild_id)


def work_on_rebuilds(services: RebuildServices, seconds_max: float) -> int:
    """Work on the rebuilds that are running; return how many events were read and journals compared.

    Raises DatabaseUnavailable.
    """
    ends_at = time.monotonic() + seconds_max
    done = 0
    for rebuild_id in rebuilds.running(services.database, RUNNING_MAX):
        before = rebuilds.find(services.database, rebuild_id)
        seconds_left = ends_at - time.monotonic()
        if before is None or seconds_left <= 0:
            continue
        after = work_on(services, rebuild_id, seconds_left) or before
        done += after.events + after.compared - before.events - before.compared
    return done


def work_on(
    services: RebuildServices, rebuild_id: UUID, seconds_max: float, monotonic: Callable[[], float] = time.monotonic
) -> Rebuild | None:
    """Do slices of a rebuild until it ends, waits for the live book or the seconds are over, at least one.

    Return the rebuild afterwards, None if it is not running or another process works on it.
    """
    ends_at = monotonic() + seconds_max
    worked: Rebuild | None = None
    with _reading_ahead(services, seconds_max) as ahead:
        while True:
            before, worked = worked, _work_once(services, rebuild_id, ahead) or worked
            if worked is None or worked is before or worked.state is not RebuildState.RUNNING or monotonic() >= ends_at:
                return worked


def _reading_ahead(services: RebuildServices, seconds_max: float) -> AbstractContextManager[ReadAhead | None]:
    """Return what reads ahead, and nothing for a request, which needs no second connection for a moment's work."""
    return ReadAhead(services) if seconds_max > REQUEST_SECONDS_MAX else nullcontext()


def _work_once(services: RebuildServices, rebuild_id: UUID, ahead: ReadAhead | None) -> Rebuild | None:
    """Do one slice; None if there is nothing to do, or only to wait."""
    try:
        with services.database.transaction(LOCK_SECONDS_MAX) as transaction:
            rebuild = rebuilds.lock_running(transaction, rebuild_id)
            if rebuild is None:
                return None
            worked = _do_slice(services, transaction, rebuild, ahead)
            if worked != rebuild:
                rebuilds.save(transaction, worked)
            if worked.state is not RebuildState.RUNNING:
                rebuilds.forget_digests(transaction, rebuild_id)
            return worked if worked != rebuild else None
    except Unavailable:
        raise
    except Exception as error:
        # The same slice would fail in the same way, and a rebuild that is running keeps every month in the database.
        failed = _fail(services, rebuild_id, reason_of(error))
        if not isinstance(error, (ConstraintViolated, QueryFailed)):
            raise
        return failed


def _do_slice(
    services: RebuildServices, transaction: Transaction, rebuild: Rebuild, ahead: ReadAhead | None
) -> Rebuild:
    if rebuild.phase is not RebuildPhase.SWITCHING and not _is_live(transaction, rebuild.live_book):
        return rebuild.failed(OUTDATED, services.clock.now())
    match rebuild.phase:
        case RebuildPhase.BUILDING:
            return build_slice(services, transaction, rebuild, ahead)
        case RebuildPhase.PROVING:
            return prove_slice(services, transaction, rebuild)
        case _:
            return _switch(services, transaction, rebuild)


def _is_live(transaction: Transaction, book: int) -> bool:
    """Tell whether a book is the live one, and keep it so until the transaction ends."""
    found = books.share(transaction, book)
    return found is not None and found.state == "live"


def _switch(services: RebuildServices, transaction: Transaction, rebuild: Rebuild) -> Rebuild:
    """Catch up, then switch to the book that is proved equal, as its order said, or record why not."""
    done = rebuild
    try:
        caught_up, is_last = catch_up_slice(services, transaction, rebuild)
        if not is_last:
            return caught_up
        done = caught_up.finished(services.clock.now())
        return carry_out_switch(services, transaction, done, actor=rebuild.actor, reason=None)
    except SwitchRefused as refused:
        return replace(done.finished(services.clock.now()), switch_refusal=str(refused))


def _fail(services: RebuildServices, rebuild_id: UUID, failure: str) -> Rebuild | None:
    with services.database.transaction() as transaction:
        rebuild = rebuilds.lock_running(transaction, rebuild_id)
        if rebuild is None:
            return None
        failed = rebuild.failed(failure, services.clock.now())
        rebuilds.save(transaction, failed)
        rebuilds.forget_digests(transaction, rebuild_id)
    return failed
