"""The limits of a lane."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from paybridge.webhooks.attempt_queue import AttemptQueue
from paybridge.webhooks.attempts import DeliveryAttempt
from paybridge.webhooks.lanes import Lane
from paybridge.webhooks.store.deliveries import PendingDelivery
from paybridge.webhooks.store.receivers import Receiver

LANE = Lane(
    is_fast=True,
    timeout_seconds=1,
    prompt_seconds=1,
    start_seconds=1,
    start_seconds_max=1,
    attempts_max=6,
    merchant_attempts_max=4,
    receiver_attempts_max=2,
)


def attempt(number: int, merchant: int, origin: int) -> DeliveryAttempt:
    merchant_id, url = UUID(int=merchant), f"https://host-{origin}"
    delivery = PendingDelivery(
        UUID(int=number), merchant_id, UUID(int=1), UUID(int=2), "payment.succeeded", url, "{}", "c", 0, 0, 0, []
    )
    return DeliveryAttempt(delivery, 1, Receiver(merchant_id, url), has_record=False)


class TestAttemptQueue:
    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=40))
    def test_hands_everything_out_once_and_never_beyond_a_limit(self, receivers: list[tuple[int, int]]) -> None:
        attempts = [attempt(number, *receiver) for number, receiver in enumerate(receivers)]
        queue = AttemptQueue(attempts, LANE)
        running = queue.take()
        seen = list(running)
        while running:
            assert len(running) <= LANE.attempts_max
            merchants = Counter(taken.receiver.merchant_id for taken in running)
            assert max(merchants.values()) <= LANE.merchant_attempts_max
            assert max(Counter(taken.receiver for taken in running).values()) <= LANE.receiver_attempts_max
            queue.release(running.pop())
            started = queue.take()
            running += started
            seen += started
        assert sorted(taken.delivery.id for taken in seen) == [given.delivery.id for given in attempts]
        assert queue.take_all() == []

    def test_a_merchant_with_many_does_not_keep_another_from_beginning(self) -> None:
        queue = AttemptQueue([attempt(n, 1, n) for n in range(50)] + [attempt(99, 2, 0)], LANE)
        assert {taken.receiver.merchant_id.int for taken in queue.take()} == {1, 2}

    def test_what_is_left_can_be_taken_away(self) -> None:
        queue = AttemptQueue([attempt(n, 1, 0) for n in range(5)], LANE)
        assert len(queue.take()) == 2
        assert len(queue.take_all()) == 3
        assert queue.take() == []
