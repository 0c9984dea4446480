"""What the bridge recorded about a month's events goes with them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from local.testkit.archive import partition
from local.testkit.locks import held
from paybridge.archive import locks
from paybridge.archive.order import order_restore
from paybridge.archive.work import work_on_archive
from paybridge.bridge.store.sent import find_unsent, record_sent
from paybridge.core.errors import LockTimeout
from paybridge.database.database import Statement
from paybridge.wiring.archive import records
from tests.archive.conftest import MONTH, RUN_SECONDS, Archive

pytestmark = pytest.mark.integration

SENT = partition("bridge.sent_events", MONTH)
DROPPED_SECONDS = 8 * 86400.0
_EVENTS = Statement("SELECT id FROM outbox WHERE id < uuid7_floor('2024-04-01 00:00Z') AND exchange IS NOT NULL")
_RECORDING = Statement("INSERT INTO bridge.recording (began_at) VALUES ('2020-01-01 00:00Z')")
_EXISTS = Statement("SELECT to_regclass(:name::text) IS NOT NULL")
_COUNT = Statement("SELECT count(*) FROM bridge.sent_events")


@pytest.fixture
def recorded(archive: Archive) -> tuple[Archive, list[UUID]]:
    """The month whose events were all recorded, and their ids."""
    archive.database.run(_RECORDING)
    ids = [id_ for (id_,) in archive.database.run(_EVENTS)]
    with archive.database.transaction() as transaction:
        record_sent(transaction, ids)
    archive.services = replace(archive.services, records=records())
    return archive, ids


def exists(archive: Archive, name: str) -> bool:
    return bool(archive.database.run(_EXISTS, name=name)[0][0])


def unsent(archive: Archive) -> int:
    """How many events of the month an audit misses on the bus."""
    with archive.database.transaction() as transaction:
        return len(find_unsent(transaction, (UUID(int=0), UUID(int=2**128 - 1)), 0.0, "^payment"))


def test_they_are_dropped_once_the_events_are(recorded: tuple[Archive, list[UUID]]) -> None:
    archive, _ = recorded
    archive.run()
    assert exists(archive, SENT)
    archive.clock.move(DROPPED_SECONDS)
    archive.run()
    assert not exists(archive, SENT)


def test_an_audit_of_the_restored_month_misses_none_of_them(recorded: tuple[Archive, list[UUID]]) -> None:
    archive, ids = recorded
    assert unsent(archive) == 0
    archive.run()
    archive.clock.move(DROPPED_SECONDS)
    archive.run()
    order_restore(archive.database, archive.clock, MONTH)
    archive.run()
    assert unsent(archive) == 0
    # What a replay sends is not recorded where no month would ever take it away.
    with archive.database.transaction() as transaction:
        record_sent(transaction, ids)
    assert archive.database.run(_COUNT) == [[0]]


def test_a_report_that_reads_them_does_not_stop_the_bridge(
    recorded: tuple[Archive, list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, _ = recorded
    archive.run()
    archive.clock.move(DROPPED_SECONDS)
    with monkeypatch.context() as patched, held(archive.address, f"SELECT FROM {SENT} LIMIT 1"):
        patched.setattr(locks, "TRIES_MAX", 1)
        worked = work_on_archive(archive.services, RUN_SECONDS)
        assert isinstance(worked.failed["2024-03"], LockTimeout)
        assert exists(archive, SENT)
    archive.run()
    assert not exists(archive, SENT)
