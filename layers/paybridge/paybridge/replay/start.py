"""Start a replay, or its dry run."""

from __future__ import annotations

from paybridge.core.archived_months import MonthsArchived
from paybridge.core.times import lowest_id, shift
from paybridge.outbox import store as outbox
from paybridge.replay.domain import SLACK, Replay, ReplayOrder, ReplayState
from paybridge.replay.dry_run import REQUEST_SECONDS_MAX, work_on
from paybridge.replay.ports import ReplayServices
from paybridge.replay.store import replays

# Each has its own rate, so their number bounds what the relay does for them.
OPEN_MAX = 10


class TooManyReplays(Exception):
    """OPEN_MAX replays have not ended yet."""


class RangeEmpty(Exception):
    """The range begins in the future, so that it has no facts."""


def start_replay(services: ReplayServices, order: ReplayOrder) -> Replay:
    """Store the replay and let the relay begin with it at once. For a dry run, do the first part.

    A range never ends after this moment. Raises RangeEmpty, MonthsArchived, TooManyReplays,
    DatabaseUnavailable and LockTimeout.
    """
    now = services.clock.now()
    end_at = min(order.end_at, now)
    if end_at <= order.begin_at:
        raise RangeEmpty
    with services.database.transaction() as transaction:
        if replays.count_open(transaction) >= OPEN_MAX:
            raise TooManyReplays
        months = services.old_months.find_away(transaction, order.begin_at, end_at)
        if months:
            raise MonthsArchived(months)
        replay = Replay(
            id=services.ids.new(),
            consumer=order.consumer,
            types=order.types,
            begin_at=order.begin_at,
            end_at=end_at,
            rate_per_second=order.rate_per_second,
            is_dry_run=order.is_dry_run,
            state=ReplayState.RUNNING,
            horizon=replays.horizon(transaction),
            position=lowest_id(shift(order.begin_at, -SLACK)),
            created_by=order.actor,
            created_at=now,
            outbox_id=None if order.is_dry_run else services.ids.new(),
        )
        replays.add(transaction, replay)
        if replay.outbox_id is not None:
            outbox.add_replay(transaction, replay.outbox_id)
    if order.is_dry_run:
        return work_on(services, replay.id, REQUEST_SECONDS_MAX) or replay
    return replay
