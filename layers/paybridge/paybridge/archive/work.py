"""Work on the archive in slices: what is killed at any step goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date

from paybridge.archive.choose import Chosen, choose_months
from paybridge.archive.deadline import Deadline
from paybridge.archive.detach import detach_tables, drop_records, drop_tables
from paybridge.archive.domain import ArchivedMonth, MonthState, TableState, month_text
from paybridge.archive.export import export_table
from paybridge.archive.ports import ArchiveServices
from paybridge.archive.restore import restore_tables
from paybridge.archive.store import lock, months, open_work, partitions, tables
from paybridge.archive.thaw import thaw_if_needed, unfreeze_month
from paybridge.core.errors import PaybridgeError
from paybridge.database.database import Database, Session


@dataclass
class Worked:
    """What a run did: how many months it finished each way, those that failed, and those that stay with a reason."""

    is_busy: bool = False
    begun: int = 0
    archived: int = 0
    restored: int = 0
    dropped: int = 0
    waiting: dict[str, str] = field(default_factory=dict)
    failed: dict[str, PaybridgeError] = field(default_factory=dict)


def work_on_archive(services: ArchiveServices, seconds_max: float) -> Worked:
    """Choose months, and bring each as far as the time allows. A second run at the same time does nothing.

    A month that fails does not stop the others. Raises DatabaseUnavailable.
    """
    worked, deadline = Worked(), Deadline.after(seconds_max)
    with _alone(services.database) as is_alone:
        if not is_alone:
            worked.is_busy = True
            return worked
        for month in reversed(months.all_months(services.database)):
            _work_on(services, month, worked, deadline)
        chosen = choose_months(services, deadline)
        _note_chosen(worked, chosen)
        for begun in chosen.begun:
            found = months.find(services.database, begun)
            assert found is not None
            _work_on(services, found, worked, deadline)
    return worked


def _note_chosen(worked: Worked, chosen: Chosen) -> None:
    worked.begun = len(chosen.begun)
    worked.waiting |= {month_text(month): reason for month, reason in chosen.waiting.items()}


def _work_on(services: ArchiveServices, month: ArchivedMonth, worked: Worked, deadline: Deadline) -> None:
    step = _STEPS.get(month.state)
    if step is None or deadline.is_over():
        return
    try:
        step(services, month, worked, deadline)
    except PaybridgeError as error:
        worked.failed[month_text(month.month)] = error


def _archive(services: ArchiveServices, month: ArchivedMonth, worked: Worked, deadline: Deadline) -> None:
    """Export every table, and once all are verified, detach them."""
    for table in tables.of_month(services.database, month.month):
        if table.state is TableState.EXPORTING and not export_table(services, table, deadline):
            return
    # A replay or reconciliation that began meanwhile reads the month to its end first.
    if _is_read(services, month.month) or _is_thawed(services, month, worked, deadline):
        return
    if detach_tables(services, tables.of_month(services.database, month.month), deadline):
        _move(services, month.month, MonthState.ARCHIVING, MonthState.ARCHIVED)
        worked.archived += 1


def _drop(services: ArchiveServices, month: ArchivedMonth, worked: Worked, deadline: Deadline) -> None:
    worked.dropped += drop_tables(services, tables.of_month(services.database, month.month), deadline)
    drop_records(services, month.month, deadline)


def _restore(services: ArchiveServices, month: ArchivedMonth, worked: Worked, deadline: Deadline) -> None:
    if restore_tables(services, tables.of_month(services.database, month.month), deadline):
        # What waited for the month changes its rows, so that they are archived again later.
        if not _is_thawed(services, month, worked, deadline):
            _move(services, month.month, MonthState.RESTORING, MonthState.RESTORED)
        worked.restored += 1


def _end_restored(services: ArchiveServices, month: ArchivedMonth, worked: Worked, deadline: Deadline) -> None:
    """Thaw a restored month that something will change. Take others out again once their time is over."""
    if _is_thawed(services, month, worked, deadline):
        return
    if month.restored_until is not None and month.restored_until > services.clock.now():
        return
    if _is_read(services, month.month):
        return
    if _move(services, month.month, MonthState.RESTORED, MonthState.ARCHIVING):
        _archive(services, replace(month, state=MonthState.ARCHIVING), worked, deadline)


def _unfreeze(services: ArchiveServices, month: ArchivedMonth, _: Worked, deadline: Deadline) -> None:
    """Free a month that waits, and was not freed to the end."""
    unfreeze_month(services.database, month.month, deadline)


def _is_thawed(services: ArchiveServices, month: ArchivedMonth, worked: Worked, deadline: Deadline) -> bool:
    reason = thaw_if_needed(services, month, deadline)
    if reason is not None:
        worked.waiting[month_text(month.month)] = reason
    return reason is not None


def _is_read(services: ArchiveServices, month: date) -> bool:
    return open_work.is_read(services.database, *partitions.bounds(services.database, month))


def _move(services: ArchiveServices, month: date, before: MonthState, after: MonthState) -> bool:
    return months.move(services.database, month, before, after, services.clock.now())


@contextmanager
def _alone(database: Database) -> Iterator[bool]:
    """Keep other runs out, on a second connection: one that is lost lets the next run in."""
    with closing(database.another()) as other, other.session() as session:
        has_lock = lock.take(session)
        try:
            yield has_lock
        finally:
            if has_lock:
                _release(session)


def _release(session: Session) -> None:
    """Let the next run in at once: the server notices a closed connection only a moment later."""
    # A connection that was lost has released it.
    with suppress(PaybridgeError):
        lock.release(session)


_STEPS: dict[MonthState, Callable[[ArchiveServices, ArchivedMonth, Worked, Deadline], None]] = {
    MonthState.WAITING: _unfreeze,
    MonthState.ARCHIVING: _archive,
    MonthState.ARCHIVED: _drop,
    MonthState.RESTORING: _restore,
    MonthState.RESTORED: _end_restored,
}
