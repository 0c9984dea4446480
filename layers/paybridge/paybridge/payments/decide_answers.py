"""Decide what follows from each answer, and what that changes in the payment. Nothing is written yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from paybridge.core.errors import IllegalTransition
from paybridge.payments.domain.attempts import Retry, Settle, after_answer
from paybridge.payments.domain.circuit import MerchantAt
from paybridge.payments.domain.gateway_answers import Contradictory, PartlyApproved, Succeeded
from paybridge.payments.domain.operation import FIRST_KINDS, Operation
from paybridge.payments.domain.outcome import Effect, PaymentChange, payment_change
from paybridge.payments.domain.pace import Pace
from paybridge.payments.domain.payment import ensure_transition
from paybridge.payments.gateway_watch import GatewayWatch, seconds_until_next
from paybridge.payments.records import AnsweredAttempt, EngineServices


@dataclass(frozen=True, slots=True)
class Blocked:
    """The payment cannot take the status that follows from the answer. The attempt is recorded, the payment stays."""

    error: str


@dataclass(frozen=True, slots=True)
class DecidedAttempt:
    """An answer, what follows from it, and what that changes in the payment, if anything."""

    answered: AnsweredAttempt
    decision: Settle | Retry | Blocked
    change: PaymentChange | None = None

    @property
    def operation(self) -> Operation:
        """Return the operation that was asked for."""
        return self.answered.attempt.operation


def decide_all(
    services: EngineServices,
    answers: Sequence[AnsweredAttempt],
    watch: GatewayWatch,
    paces: Mapping[MerchantAt, Pace],
    now: datetime,
) -> list[DecidedAttempt]:
    """Decide about each answer. A call that was refused for its rate comes again as the merchant's pace allows."""
    decided = [_decide(services, answered, now) for answered in answers]
    if not watch.refused:
        return decided
    refused = [each.operation.id for each in decided if each.operation.id in watch.refused]
    due_seconds = seconds_until_next(watch, refused, paces, now)
    return [
        replace(each, decision=replace(each.decision, seconds=due_seconds[each.operation.id]))
        if isinstance(each.decision, Retry) and each.operation.id in due_seconds
        else each
        for each in decided
    ]


def _decide(services: EngineServices, answered: AnsweredAttempt, now: datetime) -> DecidedAttempt:
    attempt = answered.attempt
    answer = answered.answer
    if isinstance(answer, PartlyApproved) and attempt.operation.kind not in FIRST_KINDS:
        answer = Contradictory("the gateway did a part of what was asked for", answer.gateway_id)
        answered = replace(answered, answer=answer)
    decision = after_answer(attempt.place(now), answer, services.schedule)
    if not isinstance(decision, Settle):
        return DecidedAttempt(answered, decision)
    expires_at = answer.expires_at if isinstance(answer, Succeeded) else None
    change = payment_change(attempt.operation, decision, now, services.authorization_seconds, expires_at)
    if change is not None and change.effect is Effect.FIRST and change.status is not None:
        try:
            ensure_transition(attempt.payment.status, change.status)
        except IllegalTransition as error:
            # What the gateway did is on record all the same: money may have moved.
            return DecidedAttempt(answered, Blocked(str(error)))
    return DecidedAttempt(answered, decision, change)
