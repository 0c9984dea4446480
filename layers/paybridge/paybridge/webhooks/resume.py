"""Let the deliveries that wait for an endpoint go on once it is enabled again, at a steady pace.

A resumption is worked on in batches, each one transaction, by the request that enables the endpoint and by the jobs
function. Each run schedules what goes out until after the next one. The webhooks go out by commands in the slow lane.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import LockTimeout
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.outbox import store as outbox
from paybridge.webhooks.domain.endpoint import EndpointStatus
from paybridge.webhooks.domain.resumption import Resumption
from paybridge.webhooks.domain.webhook_events import deliver_webhook
from paybridge.webhooks.job_time import within
from paybridge.webhooks.store import endpoints, resumptions
from paybridge.webhooks.store.resumptions import ResumptionProgress

# A receiver that was away is not met by more than this. 100,000 deliveries take about half an hour.
PER_SECOND = 50
BATCH_DELIVERIES = 500
# The jobs function comes once a minute, and may be late.
AHEAD_SECONDS = 90.0
# How long a request works on a resumption before it answers.
REQUEST_SECONDS_MAX = 1.0
# How long the jobs function works on resumptions in each minute.
JOB_SECONDS_MAX = 10.0
RUNNING_MAX = 1000


def read_resumptions(database: Database, endpoint_ids: Collection[UUID]) -> dict[UUID, Resumption]:
    """Return the resumptions of these endpoints that have not ended, by endpoint. Raises DatabaseUnavailable."""
    return resumptions.find(database, endpoint_ids)


def resume_now(database: Database, clock: Clock, ids: Ids, endpoint_id: UUID) -> None:
    """Work on the resumption of an endpoint that was just enabled. The jobs function goes on with it.

    Raises DatabaseUnavailable.
    """
    with suppress(LockTimeout):
        work_on(database, clock, ids, endpoint_id, REQUEST_SECONDS_MAX)


def work_on_resumptions(database: Database, clock: Clock, ids: Ids) -> int:
    """Work on the resumptions of all merchants for JOB_SECONDS_MAX; return how many deliveries go on.

    Raises DatabaseUnavailable.
    """
    resumed = 0
    for endpoint_id, seconds_left in within(JOB_SECONDS_MAX, resumptions.running(database, RUNNING_MAX)):
        # A batch that has met a lock is tried again by the next job.
        with suppress(LockTimeout):
            resumed += work_on(database, clock, ids, endpoint_id, seconds_left)
    return resumed


def work_on(database: Database, clock: Clock, ids: Ids, endpoint_id: UUID, seconds_max: float) -> int:
    """Do batches of a resumption until AHEAD_SECONDS are scheduled, nothing waits or the seconds are over.

    Return how many deliveries go on.
    """
    ends_at = time.monotonic() + seconds_max
    resumed = 0
    while True:
        with database.transaction() as transaction:
            before = resumptions.lock(transaction, endpoint_id)
            if before is None or before.ahead_seconds >= AHEAD_SECONDS:
                return resumed
            count = _do_batch(transaction, clock, ids, endpoint_id, before)
        resumed += count
        if not count or time.monotonic() >= ends_at:
            return resumed


def _do_batch(transaction: Transaction, clock: Clock, ids: Ids, endpoint_id: UUID, before: ResumptionProgress) -> int:
    endpoint = endpoints.find(transaction, endpoint_id)
    if endpoint is None or endpoint.status is EndpointStatus.DISABLED:
        resumptions.end(transaction, endpoint_id)
        return 0
    paced = resumptions.schedule(transaction, endpoint_id, before, per_second=PER_SECOND, limit=BATCH_DELIVERIES)
    if not paced:
        resumptions.end(transaction, endpoint_id)
        return 0
    now = clock.now()
    commands = [
        (deliver_webhook(ids.new(), key, now, {"delivery_id": str(key.id)}, subject_id=endpoint_id), delay_seconds)
        for key, delay_seconds in paced
    ]
    outbox.add_delayed(transaction, commands)
    ahead_seconds = before.ahead_seconds + len(paced) / PER_SECOND
    resumed = before.resumed + len(paced)
    progress = ResumptionProgress(before.started_at, paced[-1].key.id, resumed, ahead_seconds)
    resumptions.save(transaction, endpoint_id, progress)
    return len(paced)
