"""Cancel a rebuild that is running."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from paybridge.ledger.domain.rebuild import Rebuild, RebuildState
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.store import rebuilds
from paybridge.ledger.switch import LOCK_SECONDS_MAX, RebuildUnknown


class RebuildEnded(Exception):
    """The rebuild is finished or has failed, so that there is nothing to cancel."""


def cancel_rebuild(services: RebuildServices, rebuild_id: UUID, actor: str) -> Rebuild:
    """End a rebuild after the slice that is being worked on. The second time changes nothing.

    Its book stays until it is dropped. Raises RebuildUnknown, RebuildEnded, DatabaseUnavailable, and LockTimeout if the
    slice takes too long.
    """
    with services.database.transaction(LOCK_SECONDS_MAX) as transaction:
        rebuild = rebuilds.lock(transaction, rebuild_id)
        if rebuild is None:
            raise RebuildUnknown
        if rebuild.canceled_by is not None:
            return rebuild
        if rebuild.state is not RebuildState.RUNNING:
            raise RebuildEnded
        failed = rebuild.failed(f"canceled by {actor}", services.clock.now())
        canceled = replace(failed, canceled_by=actor)
        rebuilds.save(transaction, canceled)
        rebuilds.forget_digests(transaction, rebuild_id)
    return canceled
