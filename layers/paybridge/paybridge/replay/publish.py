"""What the relay publishes for replays: one slice of a replay in a pass.

A replay has one row in the outbox, which is due when its next slice is. The relay reads the slice, publishes it beside
the messages that are due, and saves the position once the broker has confirmed all of it, in one transaction. A relay
that dies in between leaves the position where it was, so the slice is published again: at least once, never less.
"""

from __future__ import annotations

from dataclasses import replace

from paybridge.core.clock import Clock
from paybridge.database.database import Transaction
from paybridge.outbox.consumers import expressions_of
from paybridge.outbox.ports import Message, ReplaySlice
from paybridge.outbox.routes import REDRIVE_EXCHANGE
from paybridge.replay.domain import HEADER, Fact, Replay, ReplayState, slice_size
from paybridge.replay.store import facts, replays

# How long a replay waits for transactions that began before it, until it looks again.
WAIT_SECONDS = 0.25


class EventReplays:
    """The relay's port to replays: `paybridge.outbox.ports.Replays`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def load(self, transaction: Transaction, row_id: str) -> ReplaySlice | None:
        """Lock the replay of the row and return its next slice, None if another transaction holds the replay.

        The slice of a row that is no longer a replay's is empty and the last.
        """
        replay = replays.lock_of_row(transaction, row_id)
        if replay is None:
            return None if replays.exists_for_row(transaction, row_id) else ReplaySlice(row_id, (), None)
        if not facts.are_over(transaction, replay.horizon):
            return ReplaySlice(row_id, (), WAIT_SECONDS)
        read = facts.read(
            transaction,
            replay,
            *expressions_of(replay.consumer, replay.types),
            wanted_max=slice_size(replay.rate_per_second),
        )
        after = replay.after(read)
        messages = [_message(replay, fact) for fact in read.facts]
        if not read.is_last:
            delay_seconds = len(messages) / replay.rate_per_second
            return ReplaySlice(row_id, messages, delay_seconds, lambda: replays.save(transaction, after))
        finished = replace(after, state=ReplayState.FINISHED, outbox_id=None, finished_at=self._clock.now())
        return ReplaySlice(row_id, messages, None, lambda: replays.save(transaction, finished))


def _message(replay: Replay, fact: Fact) -> Message:
    return Message(
        id=str(fact.id),
        type=fact.type,
        exchange=REDRIVE_EXCHANGE,
        routing_key=replay.consumer,
        body=fact.body.encode(),
        correlation_id=fact.correlation_id,
        headers={HEADER: str(replay.id)},
    )
