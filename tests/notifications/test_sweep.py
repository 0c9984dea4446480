"""The safety net of notifications: commands that are lost, and processes that died."""

from __future__ import annotations

import pytest

from local.testkit.notifications import NotificationWorld
from local.testkit.payments import MovableClock
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement
from paybridge.notifications.domain.answers import NotSent
from paybridge.notifications.store.stalled import StalledNotification
from paybridge.notifications.sweep import sweep_notifications

pytestmark = pytest.mark.integration

STALLED_AFTER_SECONDS = 300
FORGET = Statement("DELETE FROM outbox WHERE type = 'command.send_notification'")
END = Statement("""
    UPDATE notifications SET status = 'failed', error = 'x', finished_at = now(), next_attempt_at = NULL
    WHERE finished_at IS NULL
""")
CLAIM = Statement("""
    UPDATE notifications SET status = 'sending', claimed_at = now(), next_attempt_at = NULL WHERE status = 'pending'
""")


@pytest.fixture(autouse=True)
def nothing_open(world: NotificationWorld) -> None:
    world.database.run(END)


async def waiting(world: NotificationWorld) -> object:
    """Return a merchant with an e-mail and an SMS that wait for a retry whose command is lost."""
    merchant_id = world.merchant()
    world.email.answers = [NotSent("Throttling")]
    world.sms.answers = [NotSent("Throttling")]
    await world.notify(world.event(merchant_id))
    world.database.run(FORGET)
    world.email.taken.clear()
    world.sms.taken.clear()
    return merchant_id


def sweep(world: NotificationWorld, after_seconds: float) -> list[StalledNotification]:
    clock = MovableClock()
    clock.move(after_seconds)
    return sweep_notifications(world.database, clock, Uuid7Ids(), STALLED_AFTER_SECONDS)


class TestSweepNotifications:
    async def test_what_waits_is_left_alone_until_it_is_overdue(self, world: NotificationWorld) -> None:
        await waiting(world)
        assert sweep(world, STALLED_AFTER_SECONDS - 10) == []

    async def test_what_is_overdue_goes_on_once(self, world: NotificationWorld) -> None:
        merchant_id = await waiting(world)
        assert len(sweep(world, STALLED_AFTER_SECONDS + 10)) == 2
        commands = world.commands(merchant_id)
        assert len(commands) == 2
        # Not again in the next minute.
        assert sweep(world, 60) == []
        await world.notify(*commands)
        assert world.statuses(merchant_id) == [("email", "sent", 2), ("sms", "sent", 2)]

    async def test_after_a_death_an_email_goes_on_and_an_sms_stays_unclear(self, world: NotificationWorld) -> None:
        merchant_id = await waiting(world)
        world.database.run(CLAIM)
        assert sweep(world, 0) == []
        assert len(sweep(world, STALLED_AFTER_SECONDS + 10)) == 2
        assert world.statuses(merchant_id) == [("email", "pending", 1), ("sms", "unclear", 1)]
        await world.notify(*world.commands(merchant_id))
        assert world.statuses(merchant_id) == [("email", "sent", 2), ("sms", "unclear", 1)]
        assert world.sms.taken == []

    async def test_a_claim_is_never_ended_while_its_call_may_run(self, world: NotificationWorld) -> None:
        await waiting(world)
        world.database.run(CLAIM)
        assert sweep_notifications(world.database, SystemClock(), Uuid7Ids(), 0.001) == []
