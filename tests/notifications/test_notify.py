"""Notifying contacts: real PostgreSQL, providers that answer as the tests say."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, closing

import pytest

from local.testkit.notifications import EMAIL, MAKE_DUE, PHONE, NotificationWorld, texts
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.notifications import notify as module
from paybridge.notifications.begin import CLAIM_SECONDS
from paybridge.notifications.domain.answers import Accepted, Answer, NotSent, OutcomeUnclear
from paybridge.notifications.notify import CALLS_MAX
from paybridge.notifications.store import notifications

pytestmark = pytest.mark.integration

# The seconds that the untried wait, and those that their newest commands wait, to the nearest 10.
DELAYS = Statement("""
    SELECT 10 * round(extract(epoch FROM n.next_attempt_at - now()) / 10)::int,
           10 * round(extract(epoch FROM max(o.available_at) - now()) / 10)::int
    FROM notifications n JOIN outbox o ON o.body::json -> 'data' ->> 'notification_id' = n.id::text
    WHERE n.merchant_id = :id::uuid AND n.attempts = 0
    GROUP BY n.id
""")
AGE = Statement("UPDATE notifications SET created_at = now() - :age::interval WHERE merchant_id = :id::uuid")
HOLD = Statement("SELECT id FROM notifications WHERE merchant_id = :id::uuid ORDER BY id LIMIT :rows::int FOR UPDATE")


class TestNotify:
    async def test_both_channels_tell_the_event_and_say_why(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant("refund.*", "payment.succeeded", "payment.*")
        event = world.event(merchant_id)
        report = await world.notify(event)
        assert {(each.channel, each.outcome, each.attempt) for each in report.sent} == {
            ("email", "sent", 1),
            ("sms", "sent", 1),
        }
        (email, sms) = world.notifications(merchant_id)
        assert [email["contact"], sms["contact"]] == [EMAIL, PHONE]
        for row in (email, sms):
            assert row["pattern"] == "payment.succeeded"
            assert row["event_id"] == str(event.id)
            assert row["provider_message_id"] == "message-1"
        ((_, contact, message),) = world.email.taken
        assert contact == EMAIL
        assert b"Subject: Payment of 100.50 RUB succeeded\r\n" in message
        assert texts(world.sms.taken) == [f"Acme: Payment of 100.50 RUB succeeded. {event.payment_id}"]

    async def test_an_endpoints_event_is_told_too(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant("webhook_endpoint.*")
        await world.notify(world.endpoint_event(merchant_id, url="https://hooks.example/a?token=abc"))
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "sent", 1)]
        ((_, _, message),) = world.email.taken
        assert b"hooks.example" in message
        assert b"token" not in message

    @pytest.mark.parametrize(
        ("patterns", "contacts", "type_"),
        [
            (("payment.failed",), {}, "payment.succeeded"),
            (("*",), {"email": None, "phone": None}, "payment.succeeded"),
            # It is no news and not published; a command of a later release may bring it all the same.
            (("*",), {}, "payment.processing"),
        ],
    )
    async def test_what_was_not_chosen_is_not_told(
        self, world: NotificationWorld, patterns: tuple[str, ...], contacts: dict[str, None], type_: str
    ) -> None:
        merchant_id = world.merchant(*patterns, **contacts)
        await world.notify(world.event(merchant_id, type_))
        assert world.notifications(merchant_id) == []

    async def test_a_channel_that_is_off_makes_nothing(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        await world.notify(world.event(merchant_id), sms=None)
        assert world.statuses(merchant_id) == [("email", "sent", 1)]
        assert world.sms.taken == []

    async def test_what_waits_for_a_channel_that_is_turned_off_fails(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant(email=None)
        world.sms.answers = [NotSent("Throttling")]
        await world.notify(world.event(merchant_id))
        await world.retry(merchant_id, sms=None)
        (row,) = world.notifications(merchant_id)
        assert (row["status"], row["error"]) == ("failed", "channel_off")

    async def test_an_event_that_comes_again_is_told_once(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id)
        await world.notify(event, event)
        await world.notify(event)
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "sent", 1)]
        assert (len(world.email.taken), len(world.sms.taken)) == (1, 1)

    async def test_two_processes_tell_an_event_once(
        self, world: NotificationWorld, database_address: DatabaseAddress
    ) -> None:
        merchant_id = world.merchant()
        events = [world.event(merchant_id) for _ in range(12)]
        with closing(Database(database_address)) as other:
            await asyncio.gather(world.notify(*events), world.notify(*reversed(events), database=other))
        assert {status for _, status, _ in world.statuses(merchant_id)} == {"sent"}
        assert (len(world.email.taken), len(world.sms.taken)) == (12, 12)

    async def test_a_bad_message_fails_alone(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        good, bad = world.event(merchant_id), world.event(merchant_id, correlation_id="a\x00b")
        report = await world.notify(bad, good)
        assert [event for event, _ in report.refused] == [bad]
        assert len(report.sent) == 2

    async def test_a_locked_merchant_does_not_hold_up_the_others(
        self, world: NotificationWorld, database_address: DatabaseAddress
    ) -> None:
        locked_id, free_id = world.merchant(), world.merchant()
        locked, free = world.event(locked_id), world.event(free_id)
        world.sms.answers = [NotSent("Throttling")] * 2
        world.email.answers = [NotSent("Throttling")] * 2
        await world.notify(locked, free)
        world.database.run(MAKE_DUE)
        with closing(Database(database_address)) as other, other.transaction() as transaction:
            transaction.run(
                Statement("SELECT FROM notifications WHERE merchant_id = :id::uuid FOR UPDATE"), id=locked_id
            )
            await world.notify(*world.commands(free_id), *world.commands(locked_id))
        assert {status for _, status, _ in world.statuses(free_id)} == {"sent"}
        assert {status for _, status, _ in world.statuses(locked_id)} == {"pending"}
        assert len(world.commands(locked_id)) == 4
        await world.notify(*world.commands(locked_id))
        assert {status for _, status, _ in world.statuses(locked_id)} == {"sent"}


class TestRetries:
    async def test_channels_are_retried_apart(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        world.email.answers = [NotSent("Throttling"), OutcomeUnclear("ReadTimeoutError")]
        await world.notify(world.event(merchant_id))
        assert world.statuses(merchant_id) == [("email", "pending", 1), ("sms", "sent", 1)]
        await world.retry(merchant_id)
        assert world.statuses(merchant_id) == [("email", "pending", 2), ("sms", "sent", 1)]
        await world.retry(merchant_id)
        assert world.statuses(merchant_id) == [("email", "sent", 3), ("sms", "sent", 1)]
        assert len(world.sms.taken) == 1

    async def test_the_last_attempt_that_fails_ends_it(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant(phone=None)
        world.email.answers = [NotSent("MessageRejected")] * 3
        await world.notify(world.event(merchant_id))
        await world.retry(merchant_id)
        report = await world.retry(merchant_id)
        assert [(each.outcome, each.error) for each in report.sent] == [("failed", "MessageRejected")]
        assert world.statuses(merchant_id) == [("email", "failed", 3)]
        commands = len(world.commands(merchant_id))
        assert (await world.retry(merchant_id)).sent == []
        assert (len(world.commands(merchant_id)), len(world.email.taken)) == (commands, 3)

    async def test_a_message_that_is_never_taken_is_not_tried_again(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        world.sms.answers = [NotSent("OptedOut", is_permanent=True)]
        await world.notify(world.event(merchant_id))
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "failed", 1)]

    async def test_an_sms_whose_outcome_is_unclear_is_never_sent_again(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        world.sms.answers = [OutcomeUnclear("ReadTimeoutError")]
        event = world.event(merchant_id)
        report = await world.notify(event)
        assert {(each.channel, each.outcome) for each in report.sent} == {("email", "sent"), ("sms", "unclear")}
        await world.notify(event)
        await world.retry(merchant_id)
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "unclear", 1)]
        assert world.notifications(merchant_id)[1]["error"] == "ReadTimeoutError"
        assert len(world.sms.taken) == 1

    async def test_an_error_of_ours_during_the_call_is_unclear(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        world.sms.answers = [RuntimeError("a defect")]
        world.email.answers = [RuntimeError("a defect")]
        await world.notify(world.event(merchant_id))
        assert world.statuses(merchant_id) == [("email", "pending", 1), ("sms", "unclear", 1)]

    async def test_a_provider_that_takes_nothing_is_left_alone_for_a_while(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant(phone=None)
        events = [world.event(merchant_id) for _ in range(CALLS_MAX + 3)]
        world.email.answers = [NotSent("Throttling", is_outage=True)] * len(events)
        await world.notify(*events)
        assert len(world.email.taken) == CALLS_MAX
        untried = [row for row in world.notifications(merchant_id) if row["attempts"] == 0]
        assert len(untried) == 3
        assert len(world.commands(merchant_id)) == len(events)
        assert world.database.run(DELAYS, id=merchant_id) == [[30, 30]] * 3
        world.email.answers.clear()
        await world.retry(merchant_id)
        assert {status for _, status, _ in world.statuses(merchant_id)} == {"sent"}

    @pytest.mark.parametrize(("age", "seconds"), [("1 minute", 30), ("10 minutes", 150), ("3 days", 600)])
    async def test_a_provider_is_left_alone_the_longer_the_older_its_notifications_are(
        self, world: NotificationWorld, age: str, seconds: int
    ) -> None:
        merchant_id = world.merchant(phone=None)
        events = [world.event(merchant_id) for _ in range(CALLS_MAX + 3)]
        world.email.answers = [NotSent("Throttling", is_outage=True)] * 2 * CALLS_MAX
        await world.notify(*events)
        world.database.run(AGE, id=merchant_id, age=age)
        await world.retry(merchant_id)
        assert world.database.run(DELAYS, id=merchant_id) == [[seconds, seconds]] * 3

    async def test_one_channel_goes_on_while_the_other_hangs(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant()
        sms_are_out = threading.Event()

        def hang() -> Answer:
            assert sms_are_out.wait(10), "the SMS waited for the e-mails"
            return Accepted("late")

        def sent() -> Answer:
            if len(world.sms.taken) == 2 * CALLS_MAX:
                sms_are_out.set()
            return Accepted("sms")

        world.email.answers = [hang] * (2 * CALLS_MAX)
        world.sms.answers = [sent] * (2 * CALLS_MAX)
        await world.notify(*(world.event(merchant_id) for _ in range(2 * CALLS_MAX)))
        assert {status for _, status, _ in world.statuses(merchant_id)} == {"sent"}

    async def test_what_does_not_fit_in_the_time_has_a_command(
        self, world: NotificationWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "START_SECONDS", 0.0)
        merchant_id = world.merchant()
        assert (await world.notify(world.event(merchant_id))).sent == []
        assert world.statuses(merchant_id) == [("email", "pending", 0), ("sms", "pending", 0)]
        monkeypatch.undo()
        await world.retry(merchant_id)
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "sent", 1)]


class TestClaims:
    async def test_what_another_process_sends_is_left_to_it_and_looked_at_again(self, world: NotificationWorld) -> None:
        merchant_id, event = await claimed_and_dead(world)
        await world.notify(event)
        assert world.statuses(merchant_id) == [("email", "sending", 1), ("sms", "sending", 1)]
        assert (world.email.taken, world.sms.taken) == ([], [])
        assert len(world.commands(merchant_id)) == 2

    async def test_after_its_death_an_email_is_sent_again_and_an_sms_is_not(self, world: NotificationWorld) -> None:
        merchant_id, event = await claimed_and_dead(world)
        world.age_claims()
        await world.notify(event)
        assert world.statuses(merchant_id) == [("email", "sent", 2), ("sms", "unclear", 1)]
        assert world.notifications(merchant_id)[1]["error"] == "interrupted"
        assert world.sms.taken == []

    async def test_an_answer_after_all_is_the_truth(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant(email=None)
        event = world.event(merchant_id)

        def late() -> Answer:
            with closing(world.database.another()) as other, other.transaction() as transaction:
                transaction.run(
                    Statement(
                        "UPDATE notifications SET claimed_at = claimed_at - interval '1 hour' "
                        "WHERE merchant_id = :id::uuid"
                    ),
                    id=merchant_id,
                )
                ids = [
                    row[0]
                    for row in transaction.run(
                        Statement("SELECT id FROM notifications WHERE merchant_id = :id::uuid"), id=merchant_id
                    )
                ]
                (ended,) = notifications.end_claims(transaction, ids, CLAIM_SECONDS)
                assert ended.status == "unclear"
            return Accepted("late-1")

        world.sms.answers = [late]
        await world.notify(event)
        (row,) = world.notifications(merchant_id)
        assert (row["status"], row["provider_message_id"], row["error"]) == ("sent", "late-1", None)

    async def test_an_answer_is_recorded_once_the_database_is_back(
        self, world: NotificationWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        merchant_id = world.merchant()
        record, failures = module.record_answers, [DatabaseUnavailable("away"), DatabaseUnavailable("away")]

        def flaky(*arguments: object) -> object:
            if failures:
                raise failures.pop()
            return record(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(module, "record_answers", flaky)
        await world.notify(world.event(merchant_id))
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "sent", 1)]

    @pytest.mark.parametrize("locked", [1, 2, 4])
    async def test_an_answer_is_recorded_once_its_row_is_free(
        self,
        world: NotificationWorld,
        database_address: DatabaseAddress,
        monkeypatch: pytest.MonkeyPatch,
        locked: int,
    ) -> None:
        merchant_id = world.merchant(email=None)
        events = [world.event(merchant_id) for _ in range(4)]
        record, tries, is_held, held = module.record_answers, [], threading.Event(), ExitStack()

        def hold() -> Answer:
            transaction = held.enter_context(held.enter_context(closing(Database(database_address))).transaction())
            assert len(transaction.run(HOLD, id=merchant_id, rows=locked)) == locked
            is_held.set()
            return Accepted("held")

        def wait() -> Answer:
            assert is_held.wait(10)
            return Accepted("free")

        def let_go_after(*arguments: object) -> object:
            tries.append(arguments)
            try:
                return record(*arguments)  # type: ignore[arg-type]
            finally:
                held.close()

        monkeypatch.setattr(module, "record_answers", let_go_after)
        world.sms.answers = [hold, wait, wait, wait]
        report = await world.notify(*events)
        assert world.statuses(merchant_id) == [("sms", "sent", 1)] * 4
        assert len({each.notification_id for each in report.sent}) == len(report.sent) == 4
        assert len(tries) == 2


async def claimed_and_dead(world: NotificationWorld) -> tuple:
    """Return a merchant and its event, whose notifications a process has claimed and not sent."""
    merchant_id = world.merchant()
    event = world.event(merchant_id)
    world.email.answers = [NotSent("Throttling")]
    world.sms.answers = [NotSent("Throttling")]
    await world.notify(event)
    world.database.run(
        Statement(
            "UPDATE notifications SET status = 'sending', claimed_at = now(), next_attempt_at = NULL "
            "WHERE merchant_id = :id::uuid"
        ),
        id=merchant_id,
    )
    world.database.run(Statement("DELETE FROM outbox WHERE merchant_id = :id::uuid"), id=merchant_id)
    world.email.taken.clear()
    world.sms.taken.clear()
    return merchant_id, event
