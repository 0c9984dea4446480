"""What the steps of delivering a batch of webhooks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.webhooks.domain.webhook import SendResult
from paybridge.webhooks.store.deliveries import Delivery, Receiver


class WebhookSender(Protocol):
    """Sends one HTTP request to an address that a merchant chose."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, timeout_seconds: float) -> SendResult:
        """POSTs the body, all in all within the deadline. Never raises for the receiver's fault."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """All that delivering needs; `retry_delays_seconds` are the waits between the attempts of one delivery."""

    database: Database
    sender: WebhookSender
    clock: Clock
    ids: Ids
    retry_delays_seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One of the two ways to receivers.

    On the fast one every first attempt begins; a receiver that keeps it waiting is put on the slow one, where waiting
    costs only others like it. An attempt may take `timeout_seconds`, and one that could not even begin within that
    time is put off, so that a batch never takes much longer than twice that. An answer within `prompt_seconds` brings a
    slow receiver back to the fast lane. The other limits are attempts at a time.
    """

    is_fast: bool
    timeout_seconds: float
    prompt_seconds: float
    attempts_max: int
    merchant_attempts_max: int
    receiver_attempts_max: int


def fast_lane(timeout_seconds: float) -> Lane:
    """The lane of first attempts: no merchant may take more than a quarter of it."""
    return Lane(
        is_fast=True,
        timeout_seconds=timeout_seconds,
        prompt_seconds=timeout_seconds,
        attempts_max=200,
        merchant_attempts_max=50,
        receiver_attempts_max=25,
    )


def slow_lane(timeout_seconds: float, prompt_seconds: float) -> Lane:
    """The lane of retries and slow receivers: a whole batch may wait at the same time."""
    return Lane(
        is_fast=False,
        timeout_seconds=timeout_seconds,
        prompt_seconds=prompt_seconds,
        attempts_max=500,
        merchant_attempts_max=100,
        receiver_attempts_max=50,
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a delivery; `has_record` says that its receiver has failed before."""

    delivery: Delivery
    number: int
    receiver: Receiver
    has_record: bool

    @property
    def scheduled_number(self) -> int:
        """Its place in the schedule of retries: attempts that were interrupted by a crash have used up none of it."""
        return self.number - self.delivery.interrupted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the receiver said to an attempt."""

    attempt: Attempt
    result: SendResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one delivery, for the log: `delivered`, `retry`, `failed`, `gone` or `postponed`."""

    delivery_id: UUID
    payment_id: UUID
    correlation_id: str
    attempt: int
    outcome: str
    response_status: int | None = None
    error: str | None = None
    latency_ms: int | None = None
