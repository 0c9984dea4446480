"""Senders of webhooks that give their answers without sending anything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from paybridge.webhooks.domain.webhook import SendResult


def answered(status: int) -> SendResult:
    """Return the result of a request that the receiver answered with this status."""
    return SendResult(status_code=status, error=None, latency_ms=3)


class Crash(BaseException):
    """The process dies."""


class StubSender:
    """A sender that gives these answers in turn, the last one for ever, and keeps what it sent."""

    def __init__(self, *answers: SendResult | BaseException) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """Send nothing; return or raise the answer."""
        self.sent.append((url, headers, body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class BreakingSender:
    """A sender that fails for URLs with this ending, or gives them this answer; all others answer 200."""

    def __init__(self, ending: str, answer: SendResult | Exception) -> None:
        self._ending = ending
        self._answer = answer

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """Send nothing; return or raise the answer."""
        if not url.endswith(self._ending):
            return answered(200)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class HeldSender:
    """A sender that answers 200 once it is released."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.released = asyncio.Event()

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """Send nothing; return or raise the answer."""
        self.asked.set()
        await self.released.wait()
        return answered(200)
