"""Find out what a replay would send, and what its consumer would do, without sending anything.

A dry run is worked on in slices, each one transaction, by the requests that ask for it and by the function long-jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import orjson

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import Event, parse_envelope
from paybridge.database.database import Transaction
from paybridge.outbox.consumers import expressions_of
from paybridge.replay.domain import Fact, Replay, ReplayState
from paybridge.replay.ports import ReplayServices
from paybridge.replay.store import facts, replays

# Facts of one slice, which takes a fraction of a second.
SLICE_FACTS = 1000
# How long a request works on a dry run before it answers with the progress.
REQUEST_SECONDS_MAX = 1.0
RUNNING_MAX = 100
# Replays that have ended are kept as the record of who replayed what.
KEPT = timedelta(days=365)


def work_on_dry_runs(services: ReplayServices, seconds_max: float) -> int:
    """Work on the dry runs for some seconds, and delete old replays; return how many dry runs were worked on.

    Raises DatabaseUnavailable.
    """
    ends_at = time.monotonic() + seconds_max
    replays.expire(services.database, services.clock.now() - KEPT)
    worked_on = 0
    for replay_id in replays.running_dry_runs(services.database, RUNNING_MAX):
        seconds_left = ends_at - time.monotonic()
        if seconds_left <= 0:
            break
        worked_on += work_on(services, replay_id, seconds_left) is not None
    return worked_on


def work_on(
    services: ReplayServices, replay_id: UUID, seconds_max: float, monotonic: Callable[[], float] = time.monotonic
) -> Replay | None:
    """Do slices of a dry run until it ends or the seconds are over, at least one.

    Return it afterwards, None if it is not running or another process works on it. Raises DatabaseUnavailable.
    """
    ends_at = monotonic() + seconds_max
    worked: Replay | None = None
    while True:
        with services.database.transaction() as transaction:
            replay = replays.lock_free(transaction, replay_id)
            if replay is None or not replay.is_dry_run or replay.state is not ReplayState.RUNNING:
                return worked
            worked = _do_slice(services, transaction, replay)
            replays.save(transaction, worked)
        if worked.state is not ReplayState.RUNNING or monotonic() >= ends_at:
            return worked


def _do_slice(services: ReplayServices, transaction: Transaction, replay: Replay) -> Replay:
    read = facts.read(transaction, replay, *expressions_of(replay.consumer, replay.types), wanted_max=SLICE_FACTS)
    unseen = services.consumers[replay.consumer].find_unseen(transaction, _events(read.facts))
    after = replay.after(read, [fact.type for fact in read.facts if fact.id in unseen])
    if not read.is_last:
        return after
    return replace(after, state=ReplayState.FINISHED, finished_at=services.clock.now())


def _events(read: Sequence[Fact]) -> list[Event]:
    """Return the facts as their consumer would read them. One that cannot be parsed would end as a dead letter."""
    events = []
    for fact in read:
        with suppress(MalformedMessage, orjson.JSONDecodeError):
            events.append(parse_envelope(orjson.loads(fact.body)))
    return events
