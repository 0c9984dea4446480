"""What is no gap, and how an audit goes on."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from paybridge.audit import run
from paybridge.audit.domain import AuditPage, AuditPosition, Phase, parse_position
from paybridge.audit.run import begin, run_audit
from paybridge.core.errors import InvalidInput
from paybridge.notifications.domain.notification import Channel
from paybridge.outbox import store as outbox
from paybridge.wiring import audit as audit_wiring
from tests.audit.conftest import CLOCK, ROWS, AuditWorld, new_id

pytestmark = pytest.mark.integration

_DEAD = """
    INSERT INTO dead_letters (id, identity, death, queue, dead_letter_queue, reason, fingerprint, message_id,
                              message_type, correlation_id, body, headers, deaths, first_seen_at, last_seen_at)
    VALUES (:id::uuid, sha256(:id::text::bytea), sha256('x'), :queue::text, 'payments.dead', 'r', '0123456789abcdef',
            :message_id::text, 't', 'c', '', '{}', '[]', now(), now())
"""
UNDELIVER = "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid"
PUBLISHED_NOW = "UPDATE outbox SET published_at = now() WHERE id = :id::uuid"


class TestNoGap:
    def test_what_was_published_just_now_may_be_on_its_way(self, world: AuditWorld) -> None:
        event_id = world.healthy().events["payment.succeeded"]
        world.run(UNDELIVER, id=event_id)
        world.run(PUBLISHED_NOW, id=event_id)
        assert world.gaps() == []
        assert world.gaps(grace_seconds=0.0) == [("webhook_missing", "payment")] * 2

    def test_what_is_due_just_now_may_be_on_its_way(self, world: AuditWorld) -> None:
        event_id = world.healthy().events["payment.succeeded"]
        world.run("UPDATE outbox SET published_at = NULL, available_at = now() WHERE id = :id::uuid", id=event_id)
        assert world.gaps() == []
        world.run("UPDATE outbox SET available_at = now() + interval '1 day' WHERE id = :id::uuid", id=event_id)
        assert world.gaps(grace_seconds=0.0) == []

    def test_a_dead_letter_accounts_for_an_event_until_it_is_redriven(self, world: AuditWorld) -> None:
        event_id = world.healthy().events["payment.succeeded"]
        world.run(UNDELIVER, id=event_id)
        world.run(_DEAD, id=new_id(), queue="notifications", message_id=str(event_id))
        assert len(world.gaps()) == 2, "the dead letter is of another consumer"
        world.run(_DEAD, id=new_id(), queue="webhooks", message_id=str(event_id))
        assert world.gaps() == []
        world.run(
            """INSERT INTO dead_letter_redrives (id, actor, selection, rate_per_second, matched, answer, created_at)
               VALUES (:id::uuid, 'a', '{}', 1, 1, '{}', now())""",
            id=UUID(int=5),
        )
        world.run(
            "UPDATE dead_letters SET state = 'redriving', redrives = 1, redrive_id = :id::uuid, outbox_id = id",
            id=UUID(int=5),
        )
        assert world.gaps() == []
        world.run("UPDATE dead_letters SET state = 'redriven', outbox_id = NULL")
        assert len(world.gaps()) == 2

    def test_what_an_endpoint_or_merchant_wants_since_an_event_is_not_judged(self, world: AuditWorld) -> None:
        told = world.healthy()
        for type_ in ("payment.succeeded", "refund.succeeded"):
            world.run(
                "DELETE FROM webhook_deliveries WHERE event_id = :id::uuid AND endpoint_id IS NOT NULL",
                id=told.events[type_],
            )
        world.run("DELETE FROM notifications")
        assert len(world.gaps()) == 3
        world.run("UPDATE webhook_endpoints SET updated_at = now()")
        world.run("UPDATE merchants SET updated_at = now()")
        assert world.gaps() == []

    def test_a_receiver_that_is_gone_gets_no_more(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run("UPDATE webhook_endpoints SET updated_at = now()")
        world.run(UNDELIVER, id=told.events["refund.succeeded"])
        assert world.gaps() == [("webhook_missing", "refund")]
        world.run(
            "UPDATE webhook_deliveries SET status = 'gone' WHERE event_id = :id::uuid AND endpoint_id IS NULL",
            id=told.events["payment.succeeded"],
        )
        assert world.gaps() == []

    def test_a_channel_that_is_off_notifies_of_nothing(self, world: AuditWorld) -> None:
        world.healthy()
        world.run("DELETE FROM notifications")
        assert [gap.detail for gap in world.audit().gaps] == ["by email", "by email"]
        assert world.audit(Channel.SMS).gaps == ()

    def test_an_event_that_no_rule_posts_needs_no_journal(self, world: AuditWorld) -> None:
        told = world.healthy()
        [[journals]] = world.run(
            "SELECT count(*) FROM ledger.journals WHERE payment_id = :id::uuid", id=told.payment_id
        )
        assert journals == 2, "of the charge and of the refund"
        assert told.events["refund.created"]
        assert world.gaps() == []

    def test_what_was_published_before_there_were_books_needs_no_journal(self, world: AuditWorld) -> None:
        world.healthy()
        world.run("ALTER TABLE ledger.journals DISABLE TRIGGER ALL")
        world.run("GRANT DELETE ON ledger.journals TO CURRENT_USER")
        world.run("DELETE FROM ledger.journals")
        missing = [(gap.kind, gap.event_type) for gap in world.audit().gaps]
        assert [kind for kind, _ in missing] == ["journal_missing"] * 4
        assert sorted(str(type_) for _, type_ in missing) == [
            *("payment.succeeded", "payout.created", "payout.paid", "refund.succeeded")
        ]
        world.run("UPDATE ledger.books SET posting_since = now()")
        assert world.gaps() == []


class TestBridge:
    UNSEND = "DELETE FROM bridge.sent_events WHERE event_id = :id::uuid"

    def test_a_dead_letter_accounts_for_an_event(self, world: AuditWorld) -> None:
        event_id = world.healthy().events["payout.paid"]
        world.run(self.UNSEND, id=event_id)
        assert world.gaps() == [("bridge_missing", "payout")]
        world.run(_DEAD, id=new_id(), queue="bridge", message_id=str(event_id))
        assert world.gaps() == []

    def test_an_event_that_is_sent_again_later_is_on_its_way(self, world: AuditWorld) -> None:
        told = world.healthy()
        for type_, subject_id in (("payment.succeeded", told.payment_id), ("payout.paid", told.payout_id)):
            world.run(self.UNSEND, id=told.events[type_])
            [[body]] = world.run("SELECT body FROM outbox WHERE id = :id::uuid", id=told.events[type_])
            command = world.fact(
                None,
                "command.bridge_event",
                None,
                subject_id=subject_id,
                data={"attempt": 2, "event": body},
            )
            with world.database.transaction() as transaction:
                outbox.add_delayed(transaction, [(command, 600.0)])
        assert world.gaps(grace_seconds=0.0) == []
        world.run(
            """UPDATE outbox SET published_at = now() - interval '10 minutes', available_at = now() - interval '1 hour'
               WHERE type = 'command.bridge_event'"""
        )
        assert world.gaps() == [("bridge_missing", "payment"), ("bridge_missing", "payout")]

    def test_what_was_published_before_there_was_a_record_is_not_judged(self, world: AuditWorld) -> None:
        world.healthy()
        world.run("DELETE FROM bridge.sent_events")
        assert len(world.gaps()) == ROWS - 4, "all but the steps and their commands"
        world.run("UPDATE bridge.recording SET began_at = now()")
        assert world.gaps() == []
        world.run("DELETE FROM bridge.recording")
        assert world.gaps() == []


class TestSteps:
    """What endpoints get that follow payments on their way."""

    def test_a_payment_that_waits_has_told_nothing_yet(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run(UNDELIVER, id=told.events["payment.created"])
        assert world.gaps() == [("webhook_missing", "payment")]
        world.run(
            "DELETE FROM outbox WHERE payment_id = :id::uuid AND type LIKE 'payment.%' AND sequence > 1",
            id=told.payment_id,
        )
        found = [gap for gap in world.audit().gaps if gap.kind == "webhook_missing"]
        assert found == []

    def test_a_command_that_waits_is_on_its_way(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run(UNDELIVER, id=told.events["payment.processing"])
        assert world.gaps() == [("webhook_missing", "payment")]
        world.run("UPDATE outbox SET published_at = now() WHERE type = 'command.deliver_webhook'")
        assert world.gaps() == []

    def test_a_dead_letter_of_its_command_accounts_for_a_step(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run(UNDELIVER, id=told.events["payment.processing"])
        commands = world.run("SELECT id, body FROM outbox WHERE type = 'command.deliver_webhook'")
        (of_created, of_processing) = (
            next(id_ for id_, body in commands if str(told.events[f"payment.{step}"]) in body)
            for step in ("created", "processing")
        )
        world.run(_DEAD, id=new_id(), queue="webhooks", message_id=str(of_created))
        assert world.gaps() == [("webhook_missing", "payment")]
        world.run(_DEAD, id=new_id(), queue="webhooks", message_id=str(of_processing))
        assert world.gaps() == []

    def test_a_lost_command_is_a_gap_and_a_merchant_that_does_not_follow_has_none(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run(UNDELIVER, id=told.events["payment.processing"])
        world.run("DELETE FROM outbox WHERE type = 'command.deliver_webhook'")
        assert world.gaps() == [("webhook_missing", "payment")]
        world.run("UPDATE merchants SET follows_progress = false")
        assert world.gaps() == []


class TestEndpoints:
    def test_the_first_events_of_one_that_is_older_than_the_log_may_be_archived(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run(
            "UPDATE webhook_endpoints SET id = :old::uuid, created_at = '2001-01-01' WHERE id = :id::uuid",
            id=told.endpoint_id,
            old=UUID(int=1),
        )
        world.run(
            "UPDATE outbox SET subject_id = :old::uuid WHERE subject_id = :id::uuid",
            id=told.endpoint_id,
            old=UUID(int=1),
        )
        assert world.gaps() == []
        world.run("DELETE FROM outbox WHERE id = :id::uuid", id=told.events["webhook_endpoint.failing"])
        assert world.gaps() == []
        world.run("UPDATE webhook_endpoints SET last_sequence = 3 WHERE id = :id::uuid", id=UUID(int=1))
        assert world.gaps() == [("last_event_missing", "webhook_endpoint")]

    def test_one_that_has_not_changed_since_is_not_judged(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run("DELETE FROM outbox WHERE id = :id::uuid", id=told.events["webhook_endpoint.failing"])
        assert world.gaps() == [("sequence_hole", "webhook_endpoint")]
        world.run("UPDATE webhook_endpoints SET updated_at = now() - interval '1 day', created_at = '2001-01-01'")
        assert world.gaps() == [("sequence_hole", "webhook_endpoint")], "its last event is of the range"
        world.run("UPDATE outbox SET created_at = now() - interval '1 day' WHERE subject_type = 'webhook_endpoint'")
        assert world.gaps() == []


class TestSlices:
    def test_small_slices_find_the_same(self, world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        told = [world.healthy() for _ in range(7)]
        for one in told[::2]:
            world.run(UNDELIVER, id=one.events["payment.succeeded"])
            world.run("UPDATE payments SET last_sequence = 5 WHERE id = :id::uuid", id=one.payment_id)
        whole = world.audit()
        monkeypatch.setattr(run, "SLICE_SUBJECTS", 2)
        monkeypatch.setattr(run, "SLICE_ROWS", 3)
        services = audit_wiring.services_over(world.database, CLOCK, frozenset({Channel.EMAIL}))
        pages: list[AuditPage] = []
        position: AuditPosition | None = begin(whole.order)
        while position is not None:
            pages.append(run_audit(services, whole.order, position, 0.0))
            position = pages[-1].position
            assert position is None or parse_position(str(position)) == position
        assert [gap for page in pages for gap in page.gaps] == list(whole.gaps)
        assert len(whole.gaps) == 4 * 3
        assert (sum(page.checked for page in pages), sum(page.payments for page in pages)) == (ROWS * 7, 7)
        assert (whole.checked, whole.payments) == (ROWS * 7, 7)
        # Of each its payout and its endpoint, and all other endpoints.
        assert sum(page.others for page in pages) == whole.others > 7 * 2
        progress = [page.progress for page in pages]
        assert progress == sorted(progress)
        assert progress[-1] == 1.0

    def test_many_gaps_end_a_turn(self, world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        for _ in range(4):
            world.healthy()
        world.run("UPDATE payments SET last_sequence = 9")
        monkeypatch.setattr(run, "SLICE_SUBJECTS", 1)
        monkeypatch.setattr(run, "GAPS_MAX", 2)
        page = world.audit()
        assert len(page.gaps) == 2
        assert page.position is not None
        assert page.position.phase is Phase.PAYMENTS

    def test_a_slice_with_too_many_gaps_is_divided(self, world: AuditWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        for _ in range(4):
            world.run(UNDELIVER, id=world.healthy().events["payment.succeeded"])
        world.run("UPDATE payments SET last_sequence = 9")
        whole = world.audit()
        assert len(whole.gaps) == 4 * 3
        monkeypatch.setattr(run, "GAPS_MAX", 3)
        services = audit_wiring.services_over(world.database, CLOCK, frozenset({Channel.EMAIL}))
        pages: list[AuditPage] = []
        position: AuditPosition | None = begin(whole.order)
        while position is not None:
            pages.append(run_audit(services, whole.order, position, 60.0))
            position = pages[-1].position
        assert max(len(page.gaps) for page in pages) <= 3
        assert [gap for page in pages for gap in page.gaps] == list(whole.gaps)
        assert (sum(page.checked for page in pages), sum(page.payments for page in pages)) == (ROWS * 4, 4)

    def test_only_what_the_range_holds_is_audited(self, world: AuditWorld) -> None:
        told = world.healthy()
        world.run("UPDATE payments SET last_sequence = 9")
        world.run(UNDELIVER, id=told.events["payment.succeeded"])
        later = world.audit(begin_at=CLOCK.now() + timedelta(seconds=1))
        assert (later.gaps, later.checked, later.payments) == ((), 0, 0)

    def test_what_changed_in_the_range_is_compared_however_old_it_is(
        self, world: AuditWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = world.healthy()
        old, refund = UUID(int=told.payment_id.int & ((1 << 80) - 1)), told.refund_id
        for move in (
            "UPDATE payments SET id = :old::uuid WHERE id = :id::uuid",
            "UPDATE operations SET payment_id = :old::uuid WHERE payment_id = :id::uuid",
            "UPDATE outbox SET payment_id = :old::uuid WHERE payment_id = :id::uuid",
        ):
            world.run(move, id=told.payment_id, old=old)
        assert (world.gaps(), world.audit().payments) == ([], 0)
        world.run("DELETE FROM outbox WHERE id = :id::uuid", id=told.events["payment.processing"])
        world.run("UPDATE operations SET last_sequence = 9 WHERE id = :id::uuid", id=refund)
        expected = [("last_event_missing", "refund"), ("sequence_hole", "payment")]
        assert world.gaps() == expected
        # Each row about it is in a slice of its own.
        monkeypatch.setattr(run, "SLICE_ROWS", 1)
        assert world.gaps() == expected

    def test_a_damaged_position_is_refused(self) -> None:
        for text in ("", "rows", "rows:x", f"others:{UUID(int=0)}"):
            with pytest.raises(InvalidInput):
                parse_position(text)
