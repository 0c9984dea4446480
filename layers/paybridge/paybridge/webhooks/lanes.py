"""The two lanes to receivers, one for each queue (docs/decisions/0004-webhook-lanes.md)."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.outbox.queues import WEBHOOK_QUEUES

FIRST_ATTEMPTS_QUEUE, RETRIES_QUEUE = WEBHOOK_QUEUES


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The limits of one lane.

    Every first attempt starts on the fast lane. A receiver that keeps it waiting is moved to the slow lane, where its
    delays cost only other slow receivers. An attempt may take `timeout_seconds`. One that could not start within that
    time is postponed, so a batch never takes much longer than twice that. An answer within `prompt_seconds` brings a
    slow receiver back to the fast lane. The other limits count simultaneous attempts.
    """

    is_fast: bool
    timeout_seconds: float
    prompt_seconds: float
    attempts_max: int
    merchant_attempts_max: int
    receiver_attempts_max: int


def fast_lane(timeout_seconds: float) -> Lane:
    """Return the lane of first attempts: no merchant may take more than a quarter of it."""
    return Lane(
        is_fast=True,
        timeout_seconds=timeout_seconds,
        prompt_seconds=timeout_seconds,
        attempts_max=200,
        merchant_attempts_max=50,
        receiver_attempts_max=25,
    )


def slow_lane(timeout_seconds: float, prompt_seconds: float) -> Lane:
    """Return the lane of retries and slow receivers: a whole batch may wait at the same time."""
    return Lane(
        is_fast=False,
        timeout_seconds=timeout_seconds,
        prompt_seconds=prompt_seconds,
        attempts_max=500,
        merchant_attempts_max=100,
        receiver_attempts_max=50,
    )


def lane_of(queue: str, *, fast_timeout_seconds: float, slow_timeout_seconds: float) -> Lane:
    """Return the lane that serves the queue. Messages of any other queue than the two take the slow lane."""
    slow = slow_lane(slow_timeout_seconds, prompt_seconds=fast_timeout_seconds)
    lanes = {FIRST_ATTEMPTS_QUEUE: fast_lane(fast_timeout_seconds), RETRIES_QUEUE: slow}
    return lanes.get(queue, slow)
