"""How long the attempts of a batch may start: longer only while receivers answer promptly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from local.testkit.webhooks import DeliveryWorld
from paybridge.webhooks.attempts import SentAttempt
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.lanes import fast_lane
from paybridge.webhooks.start_window import StartWindow
from tests.webhooks.test_attempt_queue import attempt

# It starts attempts for 2 s, and for 12 s at most.
LANE = replace(fast_lane(6), attempts_max=5)


def answers(count: int, *, latency_ms: int = 20, error: str | None = None) -> list[SentAttempt]:
    result = SendResult(None if error else 200, error, latency_ms)
    return [SentAttempt(attempt(number, 1, 1), result) for number in range(count)]


class TestStartWindow:
    def test_ends_in_time_without_answers(self) -> None:
        assert StartWindow(LANE, 100.0).ends_at == 102.0

    def test_begins_again_with_each_full_lane_of_prompt_answers(self) -> None:
        window = StartWindow(LANE, 100.0)
        window.note(answers(4), 101.0)
        assert window.ends_at == 102.0
        window.note(answers(1), 101.5)
        assert window.ends_at == 103.5
        window.note(answers(4), 103.0)
        assert window.ends_at == 103.5

    def test_ends_at_its_latest_however_many_answers_come(self) -> None:
        window = StartWindow(LANE, 100.0)
        for second in range(101, 112):
            window.note(answers(5), second)
        assert window.ends_at == 112.0
        window.note(answers(5), 112.0)
        assert window.ends_at == 112.0

    @pytest.mark.parametrize(("latency_ms", "error"), [(2000, None), (6000, "timeout")])
    def test_slow_answers_do_not_count(self, latency_ms: int, error: str | None) -> None:
        window = StartWindow(LANE, 100.0)
        window.note(answers(50, latency_ms=latency_ms, error=error), 101.0)
        assert window.ends_at == 102.0

    def test_once_over_it_stays_so(self) -> None:
        window = StartWindow(LANE, 100.0)
        window.note(answers(50), 102.5)
        assert window.ends_at == 102.0


@pytest.mark.integration
class TestDeliverWebhooks:
    async def test_a_large_batch_to_prompt_receivers_is_delivered_to_its_end(self, world: DeliveryWorld) -> None:
        lane = replace(fast_lane(30), attempts_max=5, start_seconds=3.0, start_seconds_max=120.0)
        merchant_id = world.merchant()
        # Five at a time and 60 ms each take longer than three seconds.
        reports = await world.deliver(*(world.event(merchant_id, "/slow/0.06") for _ in range(300)), lane=lane)
        assert [report.outcome for report in reports] == ["delivered"] * 300
