"""The events of an archived month are replayed once the month is restored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from paybridge.archive.order import order_restore
from paybridge.archive.read import show_month
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement, Transaction
from paybridge.replay.domain import Replay, ReplayOrder, ReplayState
from paybridge.replay.dry_run import work_on
from paybridge.replay.ports import ReplayServices
from paybridge.replay.start import start_replay
from tests.archive.conftest import MONTH, PAYMENTS, Archive

pytestmark = pytest.mark.integration

_END = Statement("UPDATE replays SET state = 'canceled', outbox_id = NULL, finished_at = now() WHERE state = 'paused'")
_PAUSE = Statement("UPDATE replays SET state = 'paused', outbox_id = NULL WHERE state = 'running'")


class SeenAll:
    """A consumer that would do nothing."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:
        return set()


def services(archive: Archive) -> ReplayServices:
    return ReplayServices(archive.database, archive.clock, Uuid7Ids(), {"webhooks": SeenAll()})


def order(*, is_dry_run: bool) -> ReplayOrder:
    begin = datetime(MONTH.year, MONTH.month, 1, tzinfo=UTC)
    return ReplayOrder(
        consumer="webhooks",
        begin_at=begin,
        end_at=begin.replace(month=begin.month + 1),
        types=(),
        rate_per_second=100.0,
        is_dry_run=is_dry_run,
        actor="a test",
    )


def dry_run(archive: Archive) -> Replay:
    """A dry run over the month, to its end."""
    replay = start_replay(services(archive), order(is_dry_run=True))
    while replay.state is ReplayState.RUNNING:
        worked = work_on(services(archive), replay.id, 60.0)
        assert worked is not None
        replay = worked
    return replay


def test_a_replay_reads_the_events_of_a_restored_month(archive: Archive) -> None:
    everything = {"payment.succeeded": PAYMENTS}
    assert dry_run(archive).events == everything
    archive.run()
    assert dry_run(archive).events == {}
    order_restore(archive.database, archive.clock, MONTH)
    archive.run()
    assert dry_run(archive).events == everything


def test_a_restored_month_stays_as_long_as_a_replay_of_it_is_open(archive: Archive) -> None:
    archive.run()
    order_restore(archive.database, archive.clock, MONTH, days=1)
    archive.run()
    start_replay(services(archive), order(is_dry_run=False))
    archive.database.run(_PAUSE)
    archive.clock.move(2 * 86400.0)
    archive.run()
    assert (show_month(archive.database, MONTH) or {})["state"] == "restored"
    archive.database.run(_END)
    archive.run()
    assert (show_month(archive.database, MONTH) or {})["state"] == "archived"
