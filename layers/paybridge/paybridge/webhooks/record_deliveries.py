"""Last step of delivering: outcomes, retries and give-ups committed together, and the next attempts with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from paybridge.core.errors import PaybridgeError
from paybridge.core.events import DELIVER_WEBHOOK, WEBHOOK_EXHAUSTED, Event
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.core.retry import GiveUp, RetryIn
from paybridge.database.database import Transaction
from paybridge.observability.logging import logger
from paybridge.observability.stack import frames_of
from paybridge.outbox import store as outbox
from paybridge.webhooks.delivering import Attempt, Delivering, Lane, Outcome, Report
from paybridge.webhooks.domain.webhook import Decision, Delivered, Gone, decide
from paybridge.webhooks.store import deliveries
from paybridge.webhooks.store.deliveries import FinishedAttempt, Receiver

# A receiver is slow after one timeout, or after this many failures in a row, for this long or until it answers well.
FAILURES_MAX = 5
SLOW_SECONDS = 300.0

_STATUS = {Delivered: "delivered", RetryIn: "pending", GiveUp: "failed", Gone: "gone"}
_REPORTED = {Delivered: "delivered", RetryIn: "retry", GiveUp: "failed", Gone: "gone"}

Decided = tuple[Outcome, Decision]

log = logger()


@dataclass(slots=True)
class Step:
    """What one transaction writes down: what has ended, what is put off, and what begins."""

    outcomes: list[Outcome] = field(default_factory=list)
    postponed: list[Attempt] = field(default_factory=list)
    starting: list[Attempt] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.outcomes or self.postponed or self.starting)

    def parts(self) -> list[Part]:
        """What the transaction is made of, each of which can be written down without the others."""
        return [*self.outcomes, *map(Postponed, self.postponed), *map(Starting, self.starting)]


@dataclass(frozen=True, slots=True)
class Postponed:
    """An attempt that is put off."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Starting:
    """An attempt that begins."""

    attempt: Attempt


Part = Outcome | Postponed | Starting


def record_step(delivering: Delivering, step: Step, lane: Lane) -> tuple[list[Attempt], list[Report]]:
    """Commits a step; returns the attempts that may now be made, and what to log.

    An attempt is committed as started before it is made. One that another process has started in the meantime, because
    the broker gave it the same message, is left to that process. What the database refuses is logged and left out: the
    jobs function goes on with that delivery. Raises DatabaseUnavailable and LockTimeout; what is not recorded then
    comes again with the batch.
    """
    if not step:
        return [], []

    def work(parts: Sequence[Part]) -> tuple[list[Attempt], list[Report]]:
        return _record(delivering, _step_of(parts), lane)

    results = run_isolating_bad_items(work, step.parts(), _log_refused)
    return [one for started, _ in results for one in started], [one for _, reports in results for one in reports]


def _step_of(parts: Sequence[Part]) -> Step:
    return Step(
        outcomes=[one for one in parts if isinstance(one, Outcome)],
        postponed=[one.attempt for one in parts if isinstance(one, Postponed)],
        starting=[one.attempt for one in parts if isinstance(one, Starting)],
    )


def _log_refused(part: Part, error: PaybridgeError) -> None:
    attempt = part.attempt
    log.error(
        "cannot record a webhook delivery",
        extra={
            "delivery_id": str(attempt.delivery.id),
            "attempt": attempt.number,
            "step": type(part).__name__,
            "error_type": type(error).__name__,
            "stack": frames_of(error),
        },
    )


def _record(delivering: Delivering, step: Step, lane: Lane) -> tuple[list[Attempt], list[Report]]:
    now = delivering.clock.now()
    delays_seconds = delivering.retry_delays_seconds
    decided = [(one, decide(one.result, one.attempt.scheduled_number, delays_seconds, now)) for one in step.outcomes]
    with delivering.database.transaction() as transaction:
        if decided:
            _record_outcomes(delivering, transaction, decided, now)
            _record_receivers(transaction, step.outcomes, lane)
        if step.postponed:
            deliveries.postpone(transaction, [attempt.delivery.id for attempt in step.postponed])
            _command(delivering, transaction, [(attempt, attempt.number, 0.0) for attempt in step.postponed], now)
        ours = _start(transaction, step.starting)
    reports = [_report(outcome, decision) for outcome, decision in decided]
    return ours, reports + [_postponed_report(attempt) for attempt in step.postponed]


def _start(transaction: Transaction, attempts: Sequence[Attempt]) -> list[Attempt]:
    if not attempts:
        return []
    orphaned = [(attempt.delivery.id, attempt.number) for attempt in attempts if attempt.delivery.interrupted]
    if orphaned:
        deliveries.close_interrupted(transaction, orphaned)
    ours = deliveries.start(transaction, [(attempt.delivery.id, attempt.number) for attempt in attempts])
    return [attempt for attempt in attempts if attempt.delivery.id in ours]


def _record_outcomes(
    delivering: Delivering, transaction: Transaction, decided: Sequence[Decided], now: datetime
) -> None:
    changed = deliveries.finish(transaction, [_finished(outcome, decision) for outcome, decision in decided])
    effective = [(outcome.attempt, decision) for outcome, decision in decided if outcome.attempt.delivery.id in changed]
    retries = [
        (attempt, attempt.number + 1, decision.seconds)
        for attempt, decision in effective
        if isinstance(decision, RetryIn)
    ]
    _command(delivering, transaction, retries, now)
    gone = [(a.delivery.payment_id, a.delivery.url) for a, decision in effective if isinstance(decision, Gone)]
    if gone:
        deliveries.end_gone(transaction, gone)
    _tell_exhausted(delivering, transaction, [a for a, decision in effective if isinstance(decision, GiveUp)], now)


def _finished(outcome: Outcome, decision: Decision) -> FinishedAttempt:
    result = outcome.result
    return FinishedAttempt(
        delivery_id=outcome.attempt.delivery.id,
        number=outcome.attempt.number,
        attempt_status="delivered" if isinstance(decision, Delivered) else "failed",
        response_status=result.status_code,
        error=result.error,
        response_excerpt=result.excerpt,
        latency_ms=result.latency_ms,
        status=_STATUS[type(decision)],
        delay_seconds=decision.seconds if isinstance(decision, RetryIn) else None,
    )


def _command(
    delivering: Delivering, transaction: Transaction, retries: Iterable[tuple[Attempt, int, float]], now: datetime
) -> None:
    """Puts a command in the outbox for each (attempt made or put off, number of the next one, delay in seconds)."""
    commands = [
        (_event(delivering, attempt, DELIVER_WEBHOOK, now, {"attempt": number}), delay_seconds)
        for attempt, number, delay_seconds in retries
    ]
    outbox.add_delayed(transaction, commands)


def _tell_exhausted(
    delivering: Delivering, transaction: Transaction, attempts: Sequence[Attempt], now: datetime
) -> None:
    """Adds the fact, to the payment's history, that a webhook has been given up."""
    if not attempts:
        return
    sequences = deliveries.take_sequences(transaction, Counter(attempt.delivery.payment_id for attempt in attempts))
    facts = []
    for attempt in attempts:
        delivery = attempt.delivery
        if delivery.payment_id not in sequences:
            # A delivery whose payment is gone, as after a restore, has no history to tell this to.
            continue
        data = {"event_id": str(delivery.event_id), "event_type": delivery.event_type, "url": delivery.url}
        sequence = sequences[delivery.payment_id]
        sequences[delivery.payment_id] -= 1
        facts.append(_event(delivering, attempt, WEBHOOK_EXHAUSTED, now, data | {"attempts": attempt.number}, sequence))
    outbox.add(transaction, facts)


def _event(
    delivering: Delivering,
    attempt: Attempt,
    event_type: str,
    now: datetime,
    data: dict[str, object],
    sequence: int | None = None,
) -> Event:
    delivery = attempt.delivery
    return Event(
        id=delivering.ids.new(),
        type=event_type,
        payment_id=delivery.payment_id,
        merchant_id=delivery.merchant_id,
        correlation_id=delivery.correlation_id,
        time=now,
        data={"delivery_id": str(delivery.id), **data},
        sequence=sequence,
    )


def _record_receivers(transaction: Transaction, outcomes: Sequence[Outcome], lane: Lane) -> None:
    """Remembers receivers that fail, and forgets those on record that have answered well and in time."""
    failures: Counter[Receiver] = Counter()
    timed_out: set[Receiver] = set()
    recovered: set[Receiver] = set()
    for outcome in outcomes:
        receiver = outcome.attempt.receiver
        if not _is_success(outcome):
            failures[receiver] += 1
            timed_out |= {receiver} if outcome.result.error == "timeout" else set()
        elif outcome.attempt.has_record and outcome.result.latency_ms < lane.prompt_seconds * 1000:
            recovered.add(receiver)
    if recovered - failures.keys():
        deliveries.forget_receivers(transaction, recovered - failures.keys())
    if failures:
        noted = [(receiver, failures[receiver], receiver in timed_out) for receiver in sorted(failures)]
        deliveries.note_failures(transaction, noted, FAILURES_MAX, SLOW_SECONDS)


def _is_success(outcome: Outcome) -> bool:
    """Whether the receiver took the webhook, or told us properly that it wants no more."""
    status = outcome.result.status_code
    return status is not None and (200 <= status <= 299 or status == 410)


def _report(outcome: Outcome, decision: Decision) -> Report:
    delivery = outcome.attempt.delivery
    return Report(
        delivery_id=delivery.id,
        payment_id=delivery.payment_id,
        correlation_id=delivery.correlation_id,
        attempt=outcome.attempt.number,
        outcome=_REPORTED[type(decision)],
        response_status=outcome.result.status_code,
        error=outcome.result.error,
        latency_ms=outcome.result.latency_ms,
    )


def _postponed_report(attempt: Attempt) -> Report:
    delivery = attempt.delivery
    return Report(
        delivery_id=delivery.id,
        payment_id=delivery.payment_id,
        correlation_id=delivery.correlation_id,
        attempt=attempt.number,
        outcome="postponed",
    )
