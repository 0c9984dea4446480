"""What follows a provider's answer."""

from __future__ import annotations

import pytest

from paybridge.core.retry import GiveUp, RetryIn
from paybridge.notifications.domain.answers import (
    Accepted,
    Answer,
    LeaveUnclear,
    NextStep,
    NotSent,
    OutcomeUnclear,
    decide,
    is_outage,
)
from paybridge.notifications.domain.notification import Channel

DELAYS = (5.0, 30.0)
UNCLEAR = OutcomeUnclear("ReadTimeoutError")


class TestDecide:
    @pytest.mark.parametrize(
        ("channel", "answer", "attempt", "step"),
        [
            (Channel.EMAIL, Accepted("1"), 1, Accepted("1")),
            (Channel.SMS, Accepted("1"), 1, Accepted("1")),
            (Channel.EMAIL, UNCLEAR, 1, RetryIn(5.0)),
            (Channel.EMAIL, UNCLEAR, 3, GiveUp()),
            (Channel.SMS, UNCLEAR, 1, LeaveUnclear()),
            (Channel.SMS, UNCLEAR, 3, LeaveUnclear()),
            (Channel.SMS, NotSent("Throttling"), 2, RetryIn(30.0)),
            (Channel.SMS, NotSent("Throttling"), 3, GiveUp()),
            (Channel.SMS, NotSent("OptedOut", is_permanent=True), 1, GiveUp()),
            (Channel.EMAIL, NotSent("BadRequestException", is_permanent=True), 1, GiveUp()),
        ],
    )
    def test_only_what_certainly_was_not_sent_or_may_repeat_is_retried(
        self, channel: Channel, answer: Answer, attempt: int, step: NextStep
    ) -> None:
        assert decide(channel, answer, attempt, DELAYS) == step


class TestIsOutage:
    def test_one_refused_message_is_none(self) -> None:
        assert not is_outage(Accepted("1"))
        assert not is_outage(NotSent("MessageRejected"))
        assert is_outage(NotSent("Throttling", is_outage=True))
        assert is_outage(UNCLEAR)
