"""The audit of a night: when it begins, how it goes on, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paybridge.audit import nightly, run
from paybridge.audit.domain import NightlyAudit
from paybridge.audit.nightly import OVERLAP, RANGE_MAX, audit_nightly, find_last
from paybridge.audit.ports import AuditServices
from paybridge.core.gaps import GapKind
from paybridge.core.ids import Uuid7Ids
from paybridge.notifications.domain.notification import Channel
from paybridge.wiring import audit as audit_wiring
from tests.audit.conftest import AuditWorld

pytestmark = pytest.mark.integration

IDS = Uuid7Ids()


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def services(lone_world: AuditWorld, clock: Clock) -> AuditServices:
    return audit_wiring.services_over(lone_world.database, clock, frozenset({Channel.EMAIL}))


def audited(services: AuditServices) -> NightlyAudit:
    """Work on the audit of the night until it has ended."""
    while True:
        turn = audit_nightly(services, IDS, 0.0)
        if turn.ended is not None:
            return turn.ended


class TestAuditNightly:
    def test_what_it_finds_is_kept(self, lone_world: AuditWorld, services: AuditServices) -> None:
        told = lone_world.healthy()
        lone_world.run(
            "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid", id=told.events["payment.processing"]
        )
        assert find_last(services) is None
        audit = audited(services)
        last = find_last(services)
        assert last == audit
        assert last is not None
        (gap,) = last.page.gaps
        assert (gap.kind, gap.event_id) == (GapKind.WEBHOOK_MISSING, told.events["payment.processing"])
        assert (last.page.payments, last.page.position) == (1, None)
        view = last.view()
        assert (view["checked"], view["complete"], view["gaps"]) == (last.page.checked, True, [gap.view()])

    def test_it_begins_once_a_night_where_the_last_complete_one_ended(
        self, services: AuditServices, clock: Clock
    ) -> None:
        first = audited(services)
        assert first.page.order.begin_at == clock.at - OVERLAP
        assert first.page.order.end_at == clock.at
        clock.at += timedelta(hours=20)
        assert audit_nightly(services, IDS, 0.0) == nightly.NightlyTurn()
        clock.at += timedelta(hours=4)
        second = audited(services)
        assert second.page.order.begin_at == first.page.order.end_at - OVERLAP
        clock.at += timedelta(days=90)
        assert audited(services).page.order.begin_at == clock.at - RANGE_MAX

    def test_it_goes_on_where_it_was_interrupted(
        self, lone_world: AuditWorld, services: AuditServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(3):
            lone_world.healthy()
        monkeypatch.setattr(run, "SLICE_SUBJECTS", 2)
        monkeypatch.setattr(run, "SLICE_ROWS", 10)
        turns = [audit_nightly(services, IDS, 0.0)]
        while turns[-1].ended is None:
            # Another process goes on each time.
            turns.append(audit_nightly(services, IDS, 0.0))
        whole = lone_world.audit()
        page = turns[-1].ended.page
        assert (page.checked, page.payments, page.others) == (whole.checked, whole.payments, whole.others)
        assert sum(turn.checked for turn in turns) == whole.checked + whole.payments + whole.others
        assert len(turns) > 5
        ((count,),) = lone_world.run("SELECT count(*) FROM outbox_audits")
        assert count == 1

    def test_an_older_payment_with_events_of_several_turns_counts_once(
        self, lone_world: AuditWorld, services: AuditServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = lone_world.healthy()
        ((old_id,),) = lone_world.run("SELECT uuid7_floor(now() - interval '10 days')")
        lone_world.run(
            """INSERT INTO payments (id, merchant_id, amount_minor, currency, status, correlation_id, last_sequence,
                                     created_at, updated_at)
               SELECT :old_id::uuid, merchant_id, 1, 'RUB', 'canceled', 'c', 9, now(), now()
               FROM payments WHERE id = :id::uuid""",
            id=told.payment_id,
            old_id=old_id,
        )
        for type_ in ("payment.created", "payment.succeeded"):
            lone_world.run(
                "UPDATE outbox SET payment_id = :old_id::uuid, subject_id = :old_id::uuid WHERE id = :id::uuid",
                id=told.events[type_],
                old_id=old_id,
            )
        monkeypatch.setattr(run, "SLICE_ROWS", 1)
        gaps = audited(services).page.gaps
        assert [gap.kind for gap in gaps if gap.subject_id == old_id].count(GapKind.LAST_EVENT_MISSING) == 1

    def test_of_two_turns_at_once_one_is_kept(
        self, lone_world: AuditWorld, services: AuditServices, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = lone_world.healthy()
        lone_world.run(
            "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid", id=told.events["payment.processing"]
        )
        audit_whole = nightly.run_audit

        def overtaken(*arguments: object) -> object:
            monkeypatch.setattr(nightly, "run_audit", audit_whole)
            assert audit_nightly(services, IDS, 60.0).ended is not None
            return audit_whole(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(nightly, "run_audit", overtaken)
        assert audit_nightly(services, IDS, 60.0) == nightly.NightlyTurn()
        last = find_last(services)
        assert last is not None
        assert len(last.page.gaps) == 1

    def test_with_very_many_gaps_it_ends_and_the_next_night_has_the_range_again(
        self, lone_world: AuditWorld, services: AuditServices, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(3):
            lone_world.healthy()
        lone_world.run("UPDATE payments SET last_sequence = 9")
        monkeypatch.setattr(run, "SLICE_SUBJECTS", 1)
        monkeypatch.setattr(run, "GAPS_MAX", 2)
        monkeypatch.setattr(nightly, "GAPS_MAX", 2)
        first = audited(services)
        assert (len(first.page.gaps), first.view()["complete"]) == (2, False)
        clock.at += timedelta(days=1)
        assert audited(services).page.order.begin_at == clock.at - OVERLAP

    def test_old_ones_are_deleted(self, lone_world: AuditWorld, services: AuditServices, clock: Clock) -> None:
        audited(services)
        clock.at += timedelta(days=400)
        audited(services)
        ((count,),) = lone_world.run("SELECT count(*) FROM outbox_audits")
        assert count == 1
