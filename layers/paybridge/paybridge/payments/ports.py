"""What the use cases need from the outside world, as protocols that the adapters fulfil."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID


class Clock(Protocol):
    """The time, passed in so that rules about time can be tested."""

    def now(self) -> datetime:
        """The current time, with a UTC offset."""
        ...


class Ids(Protocol):
    """Where new identifiers come from."""

    def new(self) -> UUID:
        """A new UUIDv7: unique, and sorting by time."""
        ...


class Message(NamedTuple):
    """A message to publish; `headers` are AMQP headers with text values.

    A tuple, because the relay makes many thousands a second.
    """

    id: str
    type: str
    exchange: str
    routing_key: str
    body: bytes
    correlation_id: str
    headers: dict[str, str] | None = None


class Publisher(Protocol):
    """Hands messages to the broker and waits until it has taken responsibility for them."""

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        """Publishes all of them at once.

        Returns for each message, in order, None once the broker has confirmed and routed it, or the reason why it
        was not taken. Raises BrokerUnavailable when the broker is away: then none may be taken as published.
        """
        ...


class QueueDepths(Protocol):
    """Knows how much waits in the broker's queues."""

    async def read(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each queue, without those that somebody is working on.

        A queue that is not there is left out. Raises BrokerUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to ask the gateway for; `idempotency_key` is the same on every try of the same charge."""

    payment_id: UUID
    amount_minor: int
    currency: str
    payment_method: str | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Charged:
    """The gateway took the money; `gateway_id` is its proof."""

    gateway_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The gateway refused for good."""

    failure_code: str
    message: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The gateway refused the request itself, as one it cannot read or does not allow: this call charged nothing."""

    error: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the money moved: no answer, or none that says so clearly.

    `failure_code` is what the payment fails with in the end; it may only once `never_arrived` is true, which is when
    the gateway, asked afterwards, has never heard of the charge.
    """

    failure_code: str
    error: str
    never_arrived: bool = False


GatewayOutcome = Charged | Declined | Unknown


class PaymentGateway(Protocol):
    """The payment gateway. Never raises for the gateway's or the network's fault: that is an Unknown."""

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        """Asks for the charge, within the gateway's deadline."""
        ...

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        """Asks by our reference what became of the charge; None when the gateway has never heard of it."""
        ...


# The stages of a secret's versions: what is in use, and what a rotation is about to bring into use.
CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the database or of the broker, with a password that no log shows."""

    username: str
    password: str = field(repr=False)


class SecretVersions(Protocol):
    """The versions of one secret that holds a login; every method raises SecretUnavailable without an answer."""

    def stages(self) -> Mapping[str, list[str]]:
        """The stages of each version by its id; raises RotationRefused when the secret does not rotate."""
        ...

    def login_of(self, version: str) -> Login | None:
        """The login in the version; None when there is none yet."""
        ...

    def keep_pending(self, version: str, login: Login) -> None:
        """Keeps the login in the version, at PENDING."""
        ...

    def make_current(self, version: str) -> None:
        """Moves CURRENT to the version, which is another's so far."""
        ...


class RotatedLogin(Protocol):
    """A login whose password a rotation changes. Its methods raise Unavailable, and may be called again at any time."""

    def next_username(self, username: str) -> str:
        """The user of the next version, when `username` is that of the current one."""
        ...

    def change(self, current: Login, pending: Login) -> None:
        """Makes the pending login work."""
        ...

    def test(self, login: Login) -> None:
        """Returns when the login works."""
        ...
