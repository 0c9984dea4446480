"""Payments in a world of the test's own: real database, real use cases, a gateway that is a model, and lost processes.

The queue is the outbox: its rows are handed to the engine alone or together, in any order, and more than once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson

from local.testkit.payments import new_merchant
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.events import FIND_LATE_CHANGE, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Statement
from paybridge.fraud.domain.reviews import ReviewAnswer
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.payments.accept_notice import accept_notice
from paybridge.payments.answer_reviews import Reviewer, ReviewServices, answer_review, expire_reviews
from paybridge.payments.call_gateway import call_gateway
from paybridge.payments.create import create_payment
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.notice import Claim, GatewayNotice
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.expire_authorizations import expire_authorizations
from paybridge.payments.find_late_changes import find_late_changes
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.idempotency import IdempotentRequest, KeyedOutcome
from paybridge.payments.record_answers import record_answers
from paybridge.payments.records import AnsweredAttempt, Attempt, EngineServices, OperationOrder, PaymentResult
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.sweep import send_late_checks, sweep_stalled, sweep_stalled_operations
from paybridge.payments.work_on_notices import work_on_due_notices
from paybridge.runners.consumer import order_of
from tests.payments.stateful.commands import CORRELATION_ID, Command, give
from tests.payments.stateful.gateway_model import GatewayModel, LookUp, Record, State, Treatment
from tests.payments.stateful.gateway_port import ModelGateway
from tests.payments.stateful.processes import ProcessDatabase, StoppedClock

LEASE_SECONDS = 10.0
STALLED_SECONDS = 600.0
# Longer than the gateway holds money, so that its own time counts.
AUTHORIZATION_SECONDS = 7 * 24 * 3600.0
# Late requests are carried out before the last of these ages.
LATE_CHARGE_AGES_SECONDS = (60.0, 7200.0)
REFUND_CHECK_AGES_SECONDS = (3600.0, 86400.0)
# Payments from these amounts on are held for a review, and blocked.
REVIEWED_MINOR = 20_000
BLOCKED_MINOR = 30_000
RULES = [
    {"id": "blocked", "action": "block", "when": {"amount_gte": "300.00"}},
    {"id": "reviewed", "action": "review", "when": {"amount_gte": "200.00"}},
]
SCHEDULE = Schedule(retry_delays=(1, 30), pending_delays=(5, 3600))

# Every table with rows of payments. Each example begins with none, because sweeps look at all there are.
_TABLES = Statement("""
    SELECT DISTINCT c.table_name FROM information_schema.columns c JOIN pg_class r ON r.relname = c.table_name
    WHERE c.table_schema = 'public' AND r.relkind IN ('r', 'p') AND NOT r.relispartition
      AND (c.column_name IN ('payment_id', 'operation_id', 'merchant_id') OR c.table_name IN ('payments', 'circuits'))
      AND c.table_name NOT IN ('merchants', 'merchant_fees', 'api_keys', 'fraud_rule_sets')
    ORDER BY 1
""")
_MESSAGES = Statement("""
    SELECT id, body, available_at, published_at IS NOT NULL FROM outbox
    WHERE exchange IS NOT NULL AND routing_key = 'payments.new' ORDER BY id
""")
_PUBLISH = Statement("""
    UPDATE outbox SET published_at = now() FROM unnest(:ids::uuid[]) AS wanted (id) WHERE outbox.id = wanted.id
      AND published_at IS NULL
""")
_PUBLISH_EVENTS = Statement("""
    UPDATE outbox SET published_at = now()
    WHERE exchange IS NOT NULL AND published_at IS NULL AND routing_key <> 'payments.new'
""")

# As if the merchant had a webhook endpoint that chooses every event of payments.
_FOLLOW = Statement("UPDATE merchants SET follows_progress = true WHERE id = :id::uuid")

_Result = TypeVar("_Result")


class Message(NamedTuple):
    """A message of the outbox to the engine."""

    id: UUID
    event: Event
    available_at: datetime
    is_published: bool

    @property
    def operation_id(self) -> UUID:
        """Return the operation that the message is about."""
        return UUID(self.event.data.get("operation_id") or str(self.event.payment_id))


class Death(NamedTuple):
    """The step at which a process dies, and whether it still makes it."""

    step: int
    after: bool


@dataclass(slots=True, eq=False)
class Batch:
    """A batch of a process that is slow: what it began, and later the gateway's answers to it."""

    messages: list[UUID]
    attempts: list[Attempt]
    watch: GatewayWatch
    begun_at: datetime
    answers: list[AnsweredAttempt] = field(default_factory=list)


class World:
    """One database, one gateway, and the processes between them. `results` are those of the latest batch."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._observer = ProcessDatabase(address)
        self.clock = StoppedClock(self._observer)
        self.process = ProcessDatabase(address)
        self.gateway = GatewayModel(self.clock)
        self.ids = Uuid7Ids()
        self._loop = asyncio.new_event_loop()
        # Messages whose process died: the broker delivers them again.
        self.returned: set[UUID] = set()
        self.slow: list[Batch] = []
        self.results: list[PaymentResult] = []
        for (table,) in self._observer.run(_TABLES):
            self._observer.run(Statement(f"DELETE FROM {table}"))  # noqa: S608
        self.merchant_id = new_merchant(self._observer)
        self._observer.run(_FOLLOW, id=self.merchant_id)
        replace_fraud_rules(self._observer, self.clock, self.merchant_id, RULES, "tests")

    def close(self) -> None:
        """Close the connections."""
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self.process.close()
        self._observer.close()

    # What is there.

    def look(self, statement: Statement, **parameters: Any) -> list[Any]:
        """Run a query outside every process."""
        return self._observer.run(statement, **parameters)

    def messages(self) -> list[Message]:
        """Return all messages to the engine that were ever written, those about one operation together.

        The engine writes those about several in any order. A life that is lived again must find them where they were.
        """
        messages = [
            Message(id_, parse_envelope(orjson.loads(body)), available_at, is_published)
            for id_, body, available_at, is_published in self.look(_MESSAGES)
        ]
        return sorted(messages, key=lambda each: (each.event.payment_id, each.operation_id, each.id))

    def deliverable(self) -> list[Message]:
        """Return the messages that a broker would deliver now."""
        now = self.clock.now()
        return [
            message
            for message in self.messages()
            if message.id in self.returned or (not message.is_published and message.available_at <= now)
        ]

    def published(self) -> list[Message]:
        """Return the messages that were delivered or lost before."""
        return [message for message in self.messages() if message.is_published]

    def has_messages(self) -> bool:
        """Tell whether a message is there, or will be."""
        return any(message.id in self.returned or not message.is_published for message in self.messages())

    def wait_for_a_message(self) -> bool:
        """Move the clock to the next message, unless one is there; tell whether there is one at all."""
        if self.deliverable():
            return True
        waiting = [message.available_at for message in self.messages() if not message.is_published]
        if waiting:
            self.clock.set(max(self.clock.now(), min(waiting)))
            self.gateway.carry_out_late()
        return bool(waiting)

    def pass_time(self, seconds: float) -> None:
        """Let time pass. The gateway's late requests come when they must."""
        self.clock.move(seconds)
        self.gateway.carry_out_late()

    def publish_events(self) -> None:
        """Publish all events, which others than the engine hear."""
        self.look(_PUBLISH_EVENTS)

    # What processes do.

    @property
    def services(self) -> EngineServices:
        """Return the services of the consumer."""
        return EngineServices(
            database=self.process,
            gateways={"default": ModelGateway(self.gateway)},
            clock=self.clock,
            ids=self.ids,
            schedule=SCHEDULE,
            lease_seconds=LEASE_SECONDS,
            late_charge_ages_seconds=LATE_CHARGE_AGES_SECONDS,
            refund_check_ages_seconds=REFUND_CHECK_AGES_SECONDS,
            circuit_policy=CircuitPolicy(failure_threshold=3, cooldown_seconds=5),
            authorization_seconds=AUTHORIZATION_SECONDS,
        )

    def live(self, act: Callable[[], _Result], death: Death | None = None) -> _Result | None:
        """Let a process act; return None if it died before it was done."""
        if death is not None:
            self.process.die_at(death.step, after=death.after)
        try:
            return act()
        except DatabaseUnavailable:
            assert self.process.has_died
            return None
        finally:
            self.process.start_again()

    def plan(self, operations: Iterable[UUID], treatments: Sequence[Treatment], look_ups: Sequence[LookUp]) -> None:
        """Let the gateway treat the next calls about these operations like that, in turns, and then well."""
        self.gateway.treatments.clear()
        self.gateway.look_ups.clear()
        distinct = list(dict.fromkeys(operations))
        for index, treatment in enumerate(treatments if distinct else ()):
            self.gateway.treatments[distinct[index % len(distinct)]].append(treatment)
        for index, look_up in enumerate(look_ups if distinct else ()):
            self.gateway.look_ups[distinct[index % len(distinct)]].append(look_up)

    def deliver(self, messages: Sequence[Message], death: Death | None = None) -> None:
        """Deliver these messages as one batch to a process, which may die at its work."""
        ids = [message.id for message in messages]
        self._publish(ids)
        watch = GatewayWatch()
        done = self.live(lambda: self._loop.run_until_complete(self._consume(messages, watch)), death)
        self.results = watch.outcomes
        if done:
            self.returned.difference_update(ids)
        else:
            self.returned.update(ids)

    def lose(self, message: Message) -> None:
        """Lose the message with its broker."""
        self._publish([message.id])
        self.returned.discard(message.id)

    def begin(self, messages: Sequence[Message]) -> Batch:
        """Let a process take these messages and commit its attempts. Then it is slow."""
        ids = [message.id for message in messages]
        self._publish(ids)
        self.returned.difference_update(ids)
        watch = GatewayWatch()
        started = start_attempts(self.services, _orders(messages), watch)
        batch = Batch(ids, started.attempts, watch, self.clock.now())
        self.slow.append(batch)
        return batch

    def call(self, batch: Batch) -> None:
        """Let the slow process call the gateway."""
        batch.answers = self._loop.run_until_complete(self._call_all(batch.attempts))

    def record(self, batch: Batch, death: Death | None = None) -> None:
        """Let the slow process record the answers. If it dies, its messages are delivered again."""
        done = self.live(lambda: record_answers(self.services, batch.answers, batch.watch), death)
        self.slow.remove(batch)
        if done is None:
            self.returned.update(batch.messages)

    def abandon(self, batch: Batch) -> None:
        """Let the slow process die. Its messages are delivered again."""
        self.slow.remove(batch)
        self.returned.update(batch.messages)

    def create(self, order: PaymentOrder, key: str, death: Death | None = None) -> Any:
        """Let the API accept a payment; return its answer, None if it died."""
        return self.live(
            lambda: create_payment(
                self.process,
                self.clock,
                self.ids,
                merchant_id=self.merchant_id,
                order=order,
                request=IdempotentRequest(key, _fingerprint(order)),
                correlation_id=CORRELATION_ID,
            ),
            death,
        )

    def give(self, command: Command, death: Death | None = None) -> KeyedOutcome | OrderRefusal | None:
        """Let the API take a merchant's command; return its answer, None if it died."""
        return self.live(lambda: give(command, self.process, self.clock, self.ids, self.merchant_id), death)

    def answer_review(self, payment_id: UUID, answer: ReviewAnswer, key: str, death: Death | None = None) -> Any:
        """Let a merchant answer a review; return the API's answer, None if it died."""
        reviewer = Reviewer("merchant", self.merchant_id)
        return self.live(lambda: answer_review(self._review_services, payment_id, answer, reviewer, key=key), death)

    def notify(self, record: Record, death: Death | None = None) -> None:
        """Let the gateway send a notice of the state of its record. It is sent again until it is taken."""
        claims = {State.SUCCEEDED: Claim.DONE, State.PENDING: Claim.OTHER}
        claim = claims.get(record.state, Claim.FAILED)
        notice = GatewayNotice(f"{record.id}-{record.state.name}", "changed", record.asked.operation_id, claim)

        def act() -> bool:
            accept_notice(self.process, self.clock, self.ids, "default", notice)
            return True

        if not self.live(act, death):
            self.live(act)

    @property
    def _review_services(self) -> ReviewServices:
        return ReviewServices(self.process, self.clock, self.ids)

    def sweep(self, death: Death | None = None) -> int | None:
        """Let the jobs sweep what has stalled, is overdue or has expired; return how much they found."""

        def act() -> int:
            stalled = sweep_stalled(self.process, self.clock, self.ids, STALLED_SECONDS)
            operations = sweep_stalled_operations(self.process, self.clock, self.ids, STALLED_SECONDS)
            checks = send_late_checks(self.process, self.clock, self.ids)
            expired = expire_authorizations(self.process, self.clock, self.ids)
            reviews = expire_reviews(self._review_services, ReviewAnswer.REJECTED)
            notices = work_on_due_notices(self.process, self.clock, self.ids)
            return len(stalled) + len(operations) + len(checks) + len(expired) + reviews + len(notices.outcomes)

        return self.live(act, death)

    def _publish(self, ids: Sequence[UUID]) -> None:
        self.look(_PUBLISH, ids="{" + ",".join(map(str, ids)) + "}")

    async def _consume(self, messages: Sequence[Message], watch: GatewayWatch) -> bool:
        ended = [message.operation_id for message in messages if message.event.type == FIND_LATE_CHANGE]
        await run_operations(self.services, _orders(messages), watch)
        watch.outcomes += await find_late_changes(self.services, ended)
        return True

    async def _call_all(self, attempts: Sequence[Attempt]) -> list[AnsweredAttempt]:
        gateways = self.services.gateways
        return list(await asyncio.gather(*(call_gateway(gateways, attempt) for attempt in attempts)))


def _orders(messages: Sequence[Message]) -> list[OperationOrder]:
    return [order_of(message.event) for message in messages if message.event.type != FIND_LATE_CHANGE]


def _fingerprint(order: PaymentOrder) -> bytes:
    return orjson.dumps(order.amount_minor).rjust(32, b"0")
