"""What the table of notifications refuses, whatever a program asks for."""

from __future__ import annotations

import pytest

from local.testkit.notifications import NotificationWorld
from paybridge.core.errors import ConstraintViolated
from paybridge.database.database import Statement

pytestmark = pytest.mark.integration


class TestConstraints:
    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("channel = 'pigeon'", "notifications_go_by_a_known_channel"),
            ("status = 'lost', provider_message_id = NULL", "notifications_status_is_known"),
            ("contact = ''", "notifications_have_a_contact"),
            ("title = NULL", "notifications_only_email_has_a_title"),
            ("status = 'pending', finished_at = NULL, provider_message_id = NULL", "notifications_pending_wait"),
            ("attempts = 0", "notifications_claimed_by_an_attempt"),
            ("finished_at = NULL", "notifications_finished"),
            ("provider_message_id = NULL", "notifications_sent_have_proof"),
            ("status = 'failed', provider_message_id = NULL", "notifications_ends_say_why"),
            (
                "status = 'unclear', provider_message_id = NULL, error = 'timeout'",
                "notifications_only_sms_stay_unclear",
            ),
        ],
    )
    async def test_an_email_that_was_sent_stays_what_it_is(
        self, world: NotificationWorld, change: str, constraint: str
    ) -> None:
        merchant_id = world.merchant(phone=None)
        await world.notify(world.event(merchant_id))
        with pytest.raises(ConstraintViolated) as raised:
            world.database.run(
                Statement(f"UPDATE notifications SET {change} WHERE merchant_id = :id::uuid"),  # noqa: S608
                id=merchant_id,
            )
        assert raised.value.constraint == constraint
