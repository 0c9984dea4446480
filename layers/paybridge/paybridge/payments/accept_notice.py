"""Accept the notice of a gateway: store it once, then work on it."""

from __future__ import annotations

from contextlib import suppress

from paybridge.core.clock import Clock
from paybridge.core.errors import PaybridgeError
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.notice import GatewayNotice
from paybridge.payments.store import notices
from paybridge.payments.store.notices import NoticeKey
from paybridge.payments.work_on_notices import work_on_notices


def accept_notice(database: Database, clock: Clock, ids: Ids, gateway: str, notice: GatewayNotice) -> None:
    """Store the notice and work on it; one that is stored already changes nothing.

    Raises DatabaseUnavailable and LockTimeout: then it is not stored, and the gateway sends it again.
    """
    if not notices.store(database, gateway, notice, clock.now()):
        return
    # It is stored, so the job works on it within a minute if that fails here.
    with suppress(PaybridgeError):
        work_on_notices(database, clock, ids, [NoticeKey(gateway, notice.id)])
