"""The two lanes to receivers, one for each queue (docs/decisions/0004-webhook-lanes.md)."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.outbox.queues import WEBHOOK_QUEUES

FAST_QUEUE, SLOW_QUEUE = WEBHOOK_QUEUES
# Of the deadline: a receiver that is starting up may take the whole of it once, but is slow from a third on.
PROMPT_SHARE = 1 / 3
# Of the slow deadline: more attempts than may run at once start as others end.
START_SHARE = 2 / 3
# Fast deadlines: time for the 10,000 deliveries of a full batch whose events go to 20 endpoints each. The longest fast
# deadline that the settings take follows from this number and the function's timeout.
START_DEADLINES_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The limits of one lane.

    Attempts start on the fast lane, further ones too. A receiver that keeps it waiting for more than `prompt_seconds`
    is moved to the slow lane, where its delays cost only other slow receivers. An answer within that time brings it
    back. An attempt may take `timeout_seconds`. One that could not start within `start_seconds` is postponed. That time
    begins again whenever `attempts_max` attempts have been answered promptly: an event may go to many endpoints, and a
    batch of such events is not slow for being large. It ends at `start_seconds_max` all the same, so a batch never
    takes much longer than that and an attempt together. The other limits count simultaneous attempts.
    """

    is_fast: bool
    timeout_seconds: float
    prompt_seconds: float
    start_seconds: float
    start_seconds_max: float
    attempts_max: int
    merchant_attempts_max: int
    receiver_attempts_max: int


def fast_lane(timeout_seconds: float) -> Lane:
    """Return the lane of receivers that answer promptly: no merchant may take more than a quarter of it."""
    return Lane(
        is_fast=True,
        timeout_seconds=timeout_seconds,
        prompt_seconds=timeout_seconds * PROMPT_SHARE,
        start_seconds=timeout_seconds * PROMPT_SHARE,
        start_seconds_max=timeout_seconds * START_DEADLINES_MAX,
        attempts_max=200,
        merchant_attempts_max=50,
        receiver_attempts_max=25,
    )


def slow_lane(timeout_seconds: float, prompt_seconds: float) -> Lane:
    """Return the lane of slow receivers: a whole batch may wait at the same time."""
    return Lane(
        is_fast=False,
        timeout_seconds=timeout_seconds,
        prompt_seconds=prompt_seconds,
        start_seconds=timeout_seconds * START_SHARE,
        # A batch of slow receivers takes long enough without more.
        start_seconds_max=timeout_seconds * START_SHARE,
        attempts_max=500,
        merchant_attempts_max=100,
        receiver_attempts_max=50,
    )


def lane_of(queue: str, *, fast_timeout_seconds: float, slow_timeout_seconds: float) -> Lane:
    """Return the lane that serves the queue. Messages of any other queue than the two take the slow lane."""
    fast = fast_lane(fast_timeout_seconds)
    slow = slow_lane(slow_timeout_seconds, prompt_seconds=fast.prompt_seconds)
    lanes = {FAST_QUEUE: fast, SLOW_QUEUE: slow}
    return lanes.get(queue, slow)
