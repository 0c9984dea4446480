"""The limits of a lane."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from paybridge.webhooks.delivering import Attempt, Lane
from paybridge.webhooks.store.deliveries import Delivery
from paybridge.webhooks.waiting import Waiting

LANE = Lane(
    is_fast=True,
    timeout_seconds=1,
    prompt_seconds=1,
    attempts_max=6,
    merchant_attempts_max=4,
    receiver_attempts_max=2,
)


def attempt(number: int, merchant: int, origin: int) -> Attempt:
    merchant_id, url = UUID(int=merchant), f"https://host-{origin}"
    delivery = Delivery(
        UUID(int=number), merchant_id, UUID(int=1), UUID(int=2), "payment.succeeded", url, "{}", "c", 0, 0, []
    )
    return Attempt(delivery, 1, (merchant_id, url), has_record=False)


class TestWaiting:
    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=40))
    def test_hands_everything_out_once_and_never_beyond_a_limit(self, receivers: list[tuple[int, int]]) -> None:
        attempts = [attempt(number, *receiver) for number, receiver in enumerate(receivers)]
        waiting = Waiting(attempts, LANE)
        running = waiting.take()
        seen = list(running)
        while running:
            assert len(running) <= LANE.attempts_max
            for one in running:
                same_merchant = [other for other in running if other.receiver[0] == one.receiver[0]]
                same_receiver = [other for other in running if other.receiver == one.receiver]
                assert len(same_merchant) <= LANE.merchant_attempts_max
                assert len(same_receiver) <= LANE.receiver_attempts_max
            waiting.release(running.pop())
            started = waiting.take()
            running += started
            seen += started
        assert sorted(one.delivery.id for one in seen) == [one.delivery.id for one in attempts]
        assert waiting.take_all() == []

    def test_a_merchant_with_many_does_not_keep_another_from_beginning(self) -> None:
        waiting = Waiting([attempt(n, 1, n) for n in range(50)] + [attempt(99, 2, 0)], LANE)
        assert {one.receiver[0].int for one in waiting.take()} == {1, 2}

    def test_what_is_left_can_be_taken_away(self) -> None:
        waiting = Waiting([attempt(n, 1, 0) for n in range(5)], LANE)
        assert len(waiting.take()) == 2
        assert len(waiting.take_all()) == 3
        assert waiting.take() == []
