"""Re-queue stalled notifications, and end SMS whose process died."""

from __future__ import annotations

from datetime import timedelta

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.notifications.begin import CLAIM_SECONDS
from paybridge.notifications.domain.commands import send_notification
from paybridge.notifications.domain.notification import Channel, NotificationStatus
from paybridge.notifications.store import stalled
from paybridge.notifications.store.stalled import StalledNotification
from paybridge.outbox import store as outbox

SWEEP_ROWS_MAX = 500


def sweep_notifications(
    database: Database, clock: Clock, ids: Ids, stalled_after_seconds: float
) -> list[StalledNotification]:
    """Write a command for every stalled notification, and leave claimed SMS unclear; return what was found.

    This is the safety net of the queue `notifications`. A superfluous command does no harm, because each notification
    is claimed before it is sent. Raises DatabaseUnavailable.
    """
    now = clock.now()
    before = now - timedelta(seconds=max(stalled_after_seconds, CLAIM_SECONDS))
    with database.transaction() as transaction:
        found = stalled.lock_stalled(transaction, before, SWEEP_ROWS_MAX)
        if not found:
            return []
        lost = [each for each in found if is_lost(each)]
        others = [each for each in found if not is_lost(each)]
        stalled.leave_unclear(transaction, [each.id for each in lost])
        stalled.make_due(transaction, [each.id for each in others])
        outbox.add(transaction, [send_notification(ids.new(), each, now) for each in others])
    return found


def is_lost(notification: StalledNotification) -> bool:
    """Return whether it is an SMS that may have been sent and must not be sent again."""
    return notification.channel is Channel.SMS and notification.status is NotificationStatus.SENDING
