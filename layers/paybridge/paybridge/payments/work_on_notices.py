"""Work on stored notices of gateways: ask the gateway about the operations that they name.

Nothing that a notice says about money is believed. It puts a command in the outbox that asks the gateway, the same
command as the schedule's, only sooner. So a notice that comes twice, out of order, or before our own record changes
nothing twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout, reason_of
from paybridge.core.events import Event
from paybridge.core.ids import Ids
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.events import find_late_change_command, run_operation_command
from paybridge.payments.domain.notice import (
    ARCHIVED_SECONDS,
    WAIT_SECONDS,
    WAITS_SECONDS_MAX,
    AskNow,
    LookAgainNow,
    NoticeOutcome,
    NoticeStep,
    WaitForRecord,
    after_notice,
)
from paybridge.payments.store import late_checks, notices
from paybridge.payments.store.notices import FinishedNotice, NamedOperation, NoticeKey, TakenNotice

SWEEP_ROWS_MAX = 500
NOTICES_KEPT = timedelta(days=30)
EXPIRED_ROWS_MAX = 5_000


@dataclass(slots=True)
class WorkedNotices:
    """What a call did: the notices by their outcome, those that the database refused, with the reason.

    `archived` are the months that notices wait for.
    """

    outcomes: dict[NoticeKey, NoticeOutcome] = field(default_factory=dict)
    archived: dict[NoticeKey, date] = field(default_factory=dict)
    refused: dict[NoticeKey, str] = field(default_factory=dict)


def work_on_due_notices(database: Database, clock: Clock, ids: Ids) -> WorkedNotices:
    """Work on the notices that are due, SWEEP_ROWS_MAX at most. Raises DatabaseUnavailable and LockTimeout."""
    return work_on_notices(database, clock, ids, notices.find_due(database, clock.now(), SWEEP_ROWS_MAX))


def work_on_notices(database: Database, clock: Clock, ids: Ids, keys: Sequence[NoticeKey]) -> WorkedNotices:
    """Work on these notices, but for those that are done or in the hands of another process.

    Raises DatabaseUnavailable, and LockTimeout if a whole table is locked.
    """
    worked = WorkedNotices()

    def on_bad_notice(key: NoticeKey, error: Exception) -> None:
        # It stays due.
        if not isinstance(error, LockTimeout):
            worked.refused[key] = reason_of(error)

    def work_together(group: Sequence[NoticeKey]) -> None:
        outcomes, archived = _work_together(database, clock, ids, group)
        worked.outcomes |= outcomes
        worked.archived |= archived

    if keys:
        run_isolating_bad_items(work_together, keys, on_bad_notice)
    return worked


def expire_notices(database: Database, clock: Clock) -> int:
    """Delete notices that no gateway sends again, and return how many. Raises DatabaseUnavailable."""
    return notices.expire(database, clock.now() - NOTICES_KEPT, EXPIRED_ROWS_MAX)


def _work_together(
    database: Database, clock: Clock, ids: Ids, keys: Sequence[NoticeKey]
) -> tuple[dict[NoticeKey, NoticeOutcome], dict[NoticeKey, date]]:
    now = clock.now()
    with database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        taken = notices.lock(transaction, keys, now)
        if not taken:
            return {}, {}
        named: defaultdict[NoticeKey, list[NamedOperation]] = defaultdict(list)
        for key, operation in notices.find_operations(transaction, taken):
            named[key].append(operation)
        archived = _find_archived(transaction, [each for each in taken if not named[each.key]])
        commands: list[Event] = []
        looked_up: list[UUID] = []
        finished: list[FinishedNotice] = []
        for notice in taken:
            steps = [(each, _step(notice, each)) for each in named[notice.key]]
            commands += [
                run_operation_command(ids.new(), each, now, step.number, step.ask)
                for each, step in steps
                if isinstance(step, AskNow)
            ]
            ended = [each for each, step in steps if isinstance(step, LookAgainNow)]
            commands += [find_late_change_command(ids.new(), each, now) for each in ended]
            looked_up += [each.id for each in ended]
            if notice.key in archived:
                finished.append(_until_restored(notice, now))
            else:
                finished.append(_finished(notice, [step for _, step in steps], now))
        late_checks.send_now(transaction, looked_up)
        outbox.add(transaction, commands)
        notices.finish(transaction, finished)
    return {NoticeKey(each.gateway, each.id): each.outcome for each in finished}, archived


def _find_archived(transaction: Transaction, unnamed: Sequence[TakenNotice]) -> dict[NoticeKey, date]:
    """Return the months of the notices that name nothing which is there, because its month is archived."""
    wanted = {each.key: each.operation_id for each in unnamed if each.operation_id is not None}
    months = notices.find_archived(transaction, wanted.values()) if wanted else {}
    return {key: months[id_] for key, id_ in wanted.items() if id_ in months}


def _until_restored(notice: TakenNotice, now: datetime) -> FinishedNotice:
    work_at = now + timedelta(seconds=ARCHIVED_SECONDS)
    return FinishedNotice(notice.gateway, notice.id, NoticeOutcome.ARCHIVED, work_at)


def _step(notice: TakenNotice, operation: NamedOperation) -> NoticeStep:
    return after_notice(notice.claim, operation.kind, operation.status, operation.number, operation.asks)


def _finished(notice: TakenNotice, steps: Sequence[NoticeStep], now: datetime) -> FinishedNotice:
    may_wait = (now - notice.received_at).total_seconds() < WAITS_SECONDS_MAX
    if any(isinstance(step, AskNow | LookAgainNow) for step in steps):
        outcome = NoticeOutcome.ASKED
    elif notice.operation_id is None or not (steps or may_wait):
        outcome = NoticeOutcome.UNKNOWN
    elif may_wait and (not steps or any(isinstance(step, WaitForRecord) for step in steps)):
        outcome = NoticeOutcome.WAITING
    else:
        outcome = NoticeOutcome.KNOWN
    work_at = now + timedelta(seconds=WAIT_SECONDS) if outcome is NoticeOutcome.WAITING else None
    return FinishedNotice(notice.gateway, notice.id, outcome, work_at)
