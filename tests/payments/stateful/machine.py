"""A machine that drives payments at random: commands, answers of the gateway, deaths and redeliveries in any order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from paybridge.database.connecting import DatabaseAddress
from paybridge.fraud.domain.reviews import ReviewAnswer
from paybridge.payments.domain.payment import PaymentOrder, Status
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import Answered, KeyReused
from tests.payments.stateful.books import PAID, Books, Row, check, check_quiet, summary
from tests.payments.stateful.commands import Command, refusal_code
from tests.payments.stateful.gateway_model import LookUp, Treatment
from tests.payments.stateful.world import (
    AUTHORIZATION_SECONDS,
    BLOCKED_MINOR,
    LEASE_SECONDS,
    REVIEWED_MINOR,
    STALLED_SECONDS,
    Batch,
    Death,
    World,
)

AMOUNT_MINOR = 10_000
PAYMENTS_MAX = 4
# A slow process makes its calls within this time, or not at all: far beyond its lease, and within the age of a key.
CALL_SECONDS_MAX = 3600.0
CANCELABLE = frozenset({Status.PENDING, Status.REVIEW, Status.REQUIRES_CAPTURE})
# Rounds of a healthy world until nothing is left to do. Each delivers all that is due, or waits.
ROUNDS_MAX = 120

_treatments = st.lists(st.one_of(st.just(Treatment.DO), *map(st.just, Treatment)), min_size=1, max_size=4)
_look_ups = st.lists(st.one_of(st.just(LookUp.ANSWER), st.sampled_from(LookUp)), max_size=4)
_picks = st.lists(st.integers(0, 9), min_size=1, max_size=4)
_deaths = st.builds(Death, st.integers(1, 14), st.booleans())
_perhaps_deaths = st.one_of(st.none(), st.none(), _deaths)
_amounts = st.sampled_from([None, 1, 3_000, 3_000, 6_000, 6_000, AMOUNT_MINOR, AMOUNT_MINOR + 1])
_ordered = st.sampled_from([AMOUNT_MINOR, AMOUNT_MINOR, REVIEWED_MINOR, BLOCKED_MINOR])
_captures = st.sampled_from(["automatic", "manual"])
_pick = st.integers(0, 9)
_waits = st.sampled_from([1.0, LEASE_SECONDS + 1, 90.0, STALLED_SECONDS + 1, 3700.0, 25 * 3600.0, 8 * 24 * 3600.0])


@dataclass(slots=True)
class Ran:
    """What ran: the steps by their rules, the answers to commands, and the ends of payments and operations."""

    steps: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Return the number of steps."""
        return self.steps.total()

    def report(self) -> str:
        """Return all counts as text."""
        parts = {"steps": self.steps, "answers": self.answers, "ends": self.ends}
        lines = [
            f"{name}: " + ", ".join(f"{what} {n}" for what, n in counts.most_common()) for name, counts in parts.items()
        ]
        return "\n".join([f"{self.total} steps", *lines, ""])


class PaymentMachine(RuleBasedStateMachine):
    """Payments of one merchant. `address` is the database, `ran` counts for the report."""

    address: ClassVar[DatabaseAddress]
    ran: ClassVar[Ran]

    batches = Bundle("batches")
    called = Bundle("called")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.address)
        self.books: Books | None = None
        self.answers: list[tuple[PaymentOrder, str, Any]] = []
        self.given: list[tuple[Command, Answered]] = []
        self._keys = 0
        self._is_broken = False

    def teardown(self) -> None:
        """Let everything run until it is quiet, and compare the books."""
        try:
            if not self._is_broken:
                self._become_quiet()
        except AssertionError as error:
            error.add_note(summary(self.world, Books.of(self.world)))
            raise
        finally:
            self.world.close()

    @invariant()
    def books_agree(self) -> None:
        """All that must hold after every step."""
        self._check()

    def _check(self) -> None:
        self.world.publish_events()
        try:
            self.books = check(self.world, self.books)
        except AssertionError as error:
            self._is_broken = True
            error.add_note(summary(self.world, Books.of(self.world)))
            raise

    # Merchants.

    @initialize(
        captures=st.lists(_captures, min_size=1, max_size=2),
        treatment=st.one_of(st.none(), st.just(Treatment.DO), st.sampled_from(Treatment)),
    )
    def begin_with_payments(self, captures: list[str], treatment: Treatment | None) -> None:
        """There are payments: new ones, or such that the gateway was asked for, and treated like that."""
        for capture in captures:
            self.create(capture, AMOUNT_MINOR, None)
        if treatment is not None:
            messages = self.world.deliverable()
            self.world.plan([message.operation_id for message in messages], [treatment] * len(messages), [])
            self.world.deliver(messages)

    @precondition(lambda self: len(self.answers) < PAYMENTS_MAX)
    @rule(capture=_captures, amount_minor=_ordered, death=_perhaps_deaths)
    def create(self, capture: str, amount_minor: int, death: Death | None) -> None:
        """A merchant orders a payment. If the answer is lost, the merchant asks again with the same key."""
        self.ran.steps["create"] += 1
        self._keys += 1
        order = PaymentOrder(amount_minor=amount_minor, currency="EUR", payment_method="pm", capture=capture)
        key = f"key-{self._keys}"
        answer = self.world.create(order, key, death) or self.world.create(order, key)
        assert isinstance(answer, Answered)
        self.answers.append((order, key, replace(answer, replayed=False)))

    @precondition(lambda self: self._payments_in(Status.REQUIRES_CAPTURE))
    @rule(pick=_pick, amount_minor=_amounts, death=_perhaps_deaths)
    def capture(self, pick: int, amount_minor: int | None, death: Death | None) -> None:
        """A merchant captures what is held."""
        self.ran.steps["capture"] += 1
        self._give("capture", self._payments_in(Status.REQUIRES_CAPTURE), pick, amount_minor, death)

    @precondition(lambda self: self._payments_in(*CANCELABLE))
    @rule(pick=_pick, death=_perhaps_deaths)
    def cancel(self, pick: int, death: Death | None) -> None:
        """A merchant cancels a payment before its money is taken."""
        self.ran.steps["cancel"] += 1
        self._give("cancel", self._payments_in(*CANCELABLE), pick, None, death)

    @precondition(lambda self: self._payments_in(*PAID))
    @rule(pick=_pick, amount_minor=_amounts, death=_perhaps_deaths)
    def refund(self, pick: int, amount_minor: int | None, death: Death | None) -> None:
        """A merchant gives money back."""
        self.ran.steps["refund"] += 1
        self._give("refund", self._payments_in(*PAID), pick, amount_minor, death)

    @rule(name=st.sampled_from(["capture", "cancel", "refund"]), pick=_pick, amount_minor=_amounts)
    def command_at_any_time(self, name: str, pick: int, amount_minor: int | None) -> None:
        """A merchant commands something whether or not the payment is ready for it."""
        self.ran.steps["command_at_any_time"] += 1
        self._give(name, self._payments_in(*Status), pick, None if name == "cancel" else amount_minor, None)

    def _give(self, name: str, payments: list[Row], pick: int, amount_minor: int | None, death: Death | None) -> None:
        """Give a command, which is taken exactly if the payment allows it. One that hears nothing is given again."""
        self._keys += 1
        payment = payments[pick % len(payments)]
        command = Command(name, UUID(payment["id"]), f"key-{self._keys}", amount_minor)
        refusal = refusal_code(command, payment, self.world.clock.now())
        answer = self.world.give(command, death) or self.world.give(command)
        if refusal is None:
            assert isinstance(answer, Answered), answer
            self.given.append((command, answer))
        else:
            assert isinstance(answer, OrderRefusal), answer
            assert answer.code == refusal
        self.ran.answers[f"{name} {refusal or 'taken'}"] += 1

    def _payments_in(self, *statuses: Status) -> list[Row]:
        return [row for row in self.books.payments if row["status"] in statuses] if self.books else []

    @precondition(lambda self: self._payments_in(Status.REVIEW))
    @rule(pick=_pick, answer=st.sampled_from([ReviewAnswer.APPROVED, ReviewAnswer.REJECTED]), death=_perhaps_deaths)
    def answer_a_review(self, pick: int, answer: ReviewAnswer, death: Death | None) -> None:
        """A merchant approves or rejects a payment, and asks again with the same key."""
        self.ran.steps["answer_a_review"] += 1
        self._keys += 1
        waiting = self._payments_in(Status.REVIEW)
        payment_id, key = UUID(waiting[pick % len(waiting)]["id"]), f"key-{self._keys}"
        first = self.world.answer_review(payment_id, answer, key, death)
        again = self.world.answer_review(payment_id, answer, key)
        assert isinstance(again, Answered)
        assert first is None or (first == replace(again, replayed=False) and again.replayed)

    @rule(pick=_pick, repeats_an_order=st.booleans())
    def repeat_a_request(self, pick: int, repeats_an_order: bool) -> None:
        """A merchant repeats what was accepted: the answer is the same. Something else under its key is refused."""
        self.ran.steps["repeat_a_request"] += 1
        if repeats_an_order or not self.given:
            order, key, first = self.answers[pick % len(self.answers)]
            assert self.world.create(order, key) == replace(first, replayed=True)
            return
        command, first = self.given[pick % len(self.given)]
        assert self.world.give(command) == replace(first, replayed=True)
        other = command._replace(amount_minor=1 if command.amount_minor != 1 else 2)
        assert self.world.give(other) == KeyReused(first.resource_id)

    # Messages.

    @precondition(lambda self: self.world.has_messages())
    @rule(picks=_picks)
    def deliver(self, picks: list[int]) -> None:
        """The broker delivers messages that are due."""
        self.ran.steps["deliver"] += 1
        self._deliver(picks, [], [], None)

    @precondition(lambda self: self.world.has_messages())
    @rule(picks=_picks, treatments=_treatments, look_ups=_look_ups)
    def deliver_beside_faults(self, picks: list[int], treatments: list[Treatment], look_ups: list[LookUp]) -> None:
        """The broker delivers messages that are due, and the gateway has its own way with them."""
        self.ran.steps["deliver_beside_faults"] += 1
        self._deliver(picks, treatments, look_ups, None)

    @precondition(lambda self: self.world.has_messages())
    @rule(picks=_picks, treatments=_treatments, death=_deaths)
    def deliver_to_a_dying_process(self, picks: list[int], treatments: list[Treatment], death: Death) -> None:
        """The broker delivers messages that are due; the process dies at some statement."""
        self.ran.steps["deliver_to_a_dying_process"] += 1
        self._deliver(picks, treatments, [], death)

    @precondition(lambda self: self.world.has_messages())
    @rule(rounds=st.integers(1, 10))
    def deliver_for_a_while(self, rounds: int) -> None:
        """All that is due is delivered for a while, as the gateway's mood is."""
        self.ran.steps["deliver_for_a_while"] += 1
        self.world.plan([], [], [])
        for _ in range(rounds):
            if self.world.wait_for_a_message():
                self.world.deliver(self.world.deliverable())

    def _deliver(
        self, picks: list[int], treatments: list[Treatment], look_ups: list[LookUp], death: Death | None
    ) -> None:
        self.world.wait_for_a_message()
        due = self.world.deliverable()
        messages = [due[pick % len(due)] for pick in picks]
        self.world.plan([message.operation_id for message in messages], treatments, look_ups)
        self.world.deliver(messages, death)

    @precondition(lambda self: self.world.published())
    @rule(picks=_picks, treatments=_treatments, look_ups=_look_ups)
    def redeliver(self, picks: list[int], treatments: list[Treatment], look_ups: list[LookUp]) -> None:
        """Messages of before come once more, old ones too."""
        self.ran.steps["redeliver"] += 1
        seen = self.world.published()
        messages = [seen[pick % len(seen)] for pick in picks]
        self.world.plan([message.operation_id for message in messages], treatments, look_ups)
        self.world.deliver(messages)

    @precondition(lambda self: self.world.deliverable())
    @rule(pick=_pick)
    def lose_a_message(self, pick: int) -> None:
        """The broker loses a message."""
        self.ran.steps["lose_a_message"] += 1
        due = self.world.deliverable()
        self.world.lose(due[pick % len(due)])

    # Slow processes, which others overtake.

    @precondition(lambda self: self.world.has_messages())
    @rule(target=batches, picks=_picks)
    def begin(self, picks: list[int]) -> Batch:
        """A process commits its attempts, and is slow from then on."""
        self.ran.steps["begin"] += 1
        return self._begin(picks)

    def _begin(self, picks: list[int]) -> Batch:
        self.world.wait_for_a_message()
        due = self.world.deliverable()
        picked = [due[pick % len(due)] for pick in picks]
        return self.world.begin(list({message.operation_id: message for message in picked}.values()))

    @rule(target=called, batch=consumes(batches), treatments=_treatments, look_ups=_look_ups)
    def call(self, batch: Batch, treatments: list[Treatment], look_ups: list[LookUp]) -> Any:
        """The slow process calls the gateway."""
        self.ran.steps["call"] += 1
        if (self.world.clock.now() - batch.begun_at).total_seconds() > CALL_SECONDS_MAX:
            self.world.abandon(batch)
            return multiple()
        self.world.plan([attempt.operation.id for attempt in batch.attempts], treatments, look_ups)
        self.world.call(batch)
        return batch

    @rule(batch=consumes(called), death=_perhaps_deaths)
    def record(self, batch: Batch, death: Death | None) -> None:
        """The slow process records the answers."""
        self.ran.steps["record"] += 1
        self.world.record(batch, death)

    @rule(batch=st.one_of(consumes(batches), consumes(called)))
    def abandon(self, batch: Batch) -> None:
        """The slow process dies."""
        self.ran.steps["abandon"] += 1
        self.world.abandon(batch)

    @precondition(lambda self: self.world.has_messages())
    @rule(picks=_picks, treatments=_treatments, look_ups=_look_ups, calls_first=st.booleans())
    def overtake(
        self, picks: list[int], treatments: list[Treatment], look_ups: list[LookUp], calls_first: bool
    ) -> None:
        """A process outlives its lease, another does the same work, and then the first one records its answers."""
        self.ran.steps["overtake"] += 1
        slow = self._begin(picks)
        operations = [attempt.operation.id for attempt in slow.attempts]
        self.world.plan(operations, treatments, look_ups)
        if calls_first:
            self.world.call(slow)
        self.world.returned.update(slow.messages)
        self.world.pass_time(LEASE_SECONDS + 1)
        self.world.deliver(self.world.deliverable())
        if not calls_first:
            self.world.call(slow)
        self.world.record(slow)

    # Time, the gateway and the jobs.

    @rule(seconds=_waits)
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.ran.steps["pass_time"] += 1
        self.world.pass_time(seconds)

    @precondition(lambda self: self.world.gateway.pending())
    @rule(pick=_pick, approve=st.booleans())
    def decide(self, pick: int, approve: bool) -> None:
        """The gateway decides what was pending."""
        self.ran.steps["decide"] += 1
        pending = self.world.gateway.pending()
        self.world.gateway.decide(pending[pick % len(pending)], approve=approve)

    @rule(treatment=st.sampled_from(Treatment), look_up=st.sampled_from(LookUp))
    def change_the_mood(self, treatment: Treatment, look_up: LookUp) -> None:
        """From now on the gateway treats all calls like that."""
        self.ran.steps["change_the_mood"] += 1
        self.world.gateway.usual_treatment = treatment
        self.world.gateway.usual_look_up = look_up

    @precondition(lambda self: self.world.gateway.late)
    @rule()
    def carry_out_late(self) -> None:
        """The gateway carries out what it got long ago."""
        self.ran.steps["carry_out_late"] += 1
        self.world.gateway.carry_out_late(all_of_them=True)

    @precondition(lambda self: self.world.gateway.refunds())
    @rule(pick=_pick, is_said=st.booleans())
    def take_a_refund_back(self, pick: int, is_said: bool) -> None:
        """The gateway takes a refund back, and says so at once or later."""
        self.ran.steps["take_a_refund_back"] += 1
        refunds = self.world.gateway.refunds()
        refund = refunds[pick % len(refunds)]
        self.world.gateway.take_back(refund)
        if is_said:
            self.world.notify(refund)

    @precondition(lambda self: self.world.gateway.records)
    @rule(pick=_pick, times=st.integers(1, 2), death=_perhaps_deaths)
    def notify(self, pick: int, times: int, death: Death | None) -> None:
        """The gateway sends a notice, perhaps twice."""
        self.ran.steps["notify"] += 1
        records = [each for each in self.world.gateway.records.values() if each.asked.kind != "refund_reversal"]
        for _ in range(times):
            self.world.notify(records[pick % len(records)], death)

    @rule(death=_perhaps_deaths)
    def sweep(self, death: Death | None) -> None:
        """The jobs sweep what has stalled."""
        self.ran.steps["sweep"] += 1
        self.world.sweep(death)

    # The end.

    def _become_quiet(self) -> None:
        """Let a healthy world run until nothing is left to do, and again once all authorizations have expired."""
        world = self.world
        for batch in list(world.slow):
            world.abandon(batch)
        world.plan([], [], [])
        world.gateway.usual_treatment, world.gateway.usual_look_up = Treatment.DO, LookUp.ANSWER
        for has_expired in (False, True):
            self._run_until_nothing_is_left()
            self._check()
            assert self.books is not None
            check_quiet(world, self.books, has_expired=has_expired)
            world.pass_time(AUTHORIZATION_SECONDS + 1)
        books = Books.of(world)
        self.ran.ends.update(f"{row['status']} {row['failure_code'] or ''}".strip() for row in books.payments)
        self.ran.ends.update(f"{row['kind']} {row['cause']} {row['status']}" for row in books.operations)

    def _run_until_nothing_is_left(self) -> None:
        world = self.world
        for _ in range(ROUNDS_MAX):
            world.gateway.carry_out_late(all_of_them=True)
            for record in world.gateway.pending():
                world.gateway.decide(record, approve=True)
            for record in world.gateway.taken_back():
                world.notify(record)
            if world.wait_for_a_message():
                world.deliver(world.deliverable())
            else:
                world.pass_time(2 * STALLED_SECONDS)
                if not world.sweep() and not world.has_messages():
                    if not Books.of(world).late_checks:
                        return
                    world.pass_time(6 * 3600.0)
            self._check()
        raise AssertionError("the world never becomes quiet")
