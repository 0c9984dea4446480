"""What a payment's contacts were told, in its timeline, its diagnosis and its lines on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from local.testkit.notifications import EMAIL, PHONE, NotificationWorld
from local.testkit.payments import new_payment
from paybridge.cli.payment_lines import payment_lines
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Statement
from paybridge.notifications.domain.answers import Answer, NotSent, OutcomeUnclear
from paybridge.outbox import store as outbox
from paybridge.payments.diagnose import Diagnosis, diagnose_payment
from paybridge.payments.domain.events import payment_event
from paybridge.payments.store import queries
from paybridge.payments.timeline import payment_timeline

pytestmark = pytest.mark.integration

SETTLE = Statement("""
    UPDATE payments SET status = 'failed', failure_code = 'card_declined', failure_message = 'Card declined.',
                        last_sequence = 2
    WHERE id = :id::uuid
""")
PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid AND published_at IS NULL")


@pytest.fixture
def world(database_address: DatabaseAddress) -> Iterator[NotificationWorld]:
    world = NotificationWorld(database_address)
    yield world
    world.close()


async def told(world: NotificationWorld, *answers: Answer) -> tuple[UUID, UUID]:
    """Return a merchant and its payment that failed, about which an SMS got the answers and an e-mail was sent."""
    merchant_id = world.merchant("payment.*")
    payment_id = new_payment(world.database, merchant_id)
    world.database.run(SETTLE, id=payment_id)
    payment = queries.get(world.database, merchant_id, payment_id)
    assert payment is not None
    event = payment_event(Uuid7Ids().new(), "payment.failed", payment, SystemClock().now())
    with world.database.transaction() as transaction:
        outbox.add(transaction, [event])
    world.database.run(PUBLISH, id=payment_id)
    world.sms.answers = [*answers]
    await world.notify(event)
    # What waits for a retry is no news about the payment itself.
    world.database.run(PUBLISH, id=payment_id)
    return merchant_id, payment_id


def diagnosed(world: NotificationWorld, payment_id: UUID) -> Diagnosis:
    found = diagnose_payment(world.database, SystemClock(), payment_id)
    assert found is not None
    return found


class TestTimeline:
    async def test_each_notification_follows_its_event_and_says_why(self, world: NotificationWorld) -> None:
        merchant_id, payment_id = await told(world)
        entries = payment_timeline(world.database, merchant_id, payment_id)
        assert entries is not None
        types = [entry.type for entry in entries]
        assert types[:4] == ["payment.created", "event.relayed", "payment.failed", "event.relayed"]
        assert sorted(types[4:]) == ["notification.scheduled"] * 2 + ["notification.sent"] * 2
        scheduled = {entry.details["channel"]: entry.details for entry in entries if entry.type.endswith("scheduled")}
        assert {channel: details["contact"] for channel, details in scheduled.items()} == {"email": EMAIL, "sms": PHONE}
        assert {details["pattern"] for details in scheduled.values()} == {"payment.*"}
        assert {details["event_type"] for details in scheduled.values()} == {"payment.failed"}
        (sent,) = [each.details for each in entries if each.type.endswith("sent") and each.details["channel"] == "sms"]
        assert (sent["provider_message_id"], sent["number"]) == ("message-1", 1)

    async def test_another_merchant_sees_nothing(self, world: NotificationWorld) -> None:
        _, payment_id = await told(world)
        assert payment_timeline(world.database, world.merchant(), payment_id) is None


class TestDiagnosis:
    @pytest.mark.parametrize(
        ("answers", "state"),
        [
            ([], r"was sent .* UTC; the provider calls it message-1\."),
            ([NotSent("Throttling")], r"was not sent at attempt 1 \(Throttling\) and is tried again\."),
            ([NotSent("OptedOut", is_permanent=True)], r"was given up .* UTC after 1 attempts \(OptedOut\)\."),
            ([OutcomeUnclear("Timeout")], r"may have been sent \(Timeout, .* UTC\) and is not repeated\."),
        ],
    )
    async def test_it_says_what_was_told_to_whom_and_why(
        self, world: NotificationWorld, answers: list[Answer], state: str
    ) -> None:
        _, payment_id = await told(world, *answers)
        explanation = diagnosed(world, payment_id).explanation
        assert f"The e-mail about payment.failed to {EMAIL}, chosen by the pattern payment.*, was sent" in explanation
        sms = rf"The SMS about payment\.failed to \{PHONE}, chosen by the pattern payment\.\*, {state}"
        assert re.search(sms, explanation), explanation

    async def test_the_terminal_shows_the_providers_id(self, world: NotificationWorld) -> None:
        _, payment_id = await told(world)
        lines = payment_lines(diagnosed(world, payment_id))
        assert any("notification.sent" in line and "provider_message_id message-1" in line for line in lines)

    async def test_what_is_on_its_way_is_said(self, world: NotificationWorld) -> None:
        merchant_id, payment_id = await told(world, NotSent("Throttling"))
        world.database.run(
            Statement(
                "UPDATE notifications SET status = 'sending', next_attempt_at = NULL "
                "WHERE merchant_id = :id::uuid AND channel = 'sms'"
            ),
            id=merchant_id,
        )
        assert "payment.*, is being sent since " in diagnosed(world, payment_id).explanation
