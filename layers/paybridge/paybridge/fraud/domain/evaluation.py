"""Evaluate a rule set for one payment."""

from __future__ import annotations

from collections.abc import Sequence

from paybridge.fraud.domain.rules import (
    AMOUNT_PLACES,
    Conditions,
    Facts,
    FraudRule,
    ScreenedPayment,
    Screening,
    Velocity,
    Verdict,
)

_SEVERITY = {action: position for position, action in enumerate(Verdict)}


def evaluate(rules: Sequence[FraudRule], candidate: ScreenedPayment, facts: Facts) -> Screening:
    """Return the decision for a payment.

    Rules are evaluated in order. An `allow` that fires ends the evaluation and decides, whatever fired before it. If
    none fires, the severest action that fires decides, and `allow` if nothing fires. The score is the sum of the scores
    of the rules that fired.
    """
    scale = 10 ** (AMOUNT_PLACES - candidate.currency_places)
    decision, score, fired = Verdict.ALLOW, 0, []
    for rule in rules:
        if not _fires(rule.when, candidate, facts, scale):
            continue
        fired.append(rule.id)
        score += rule.score
        if rule.action is Verdict.ALLOW:
            decision = Verdict.ALLOW
            break
        if _SEVERITY[rule.action] > _SEVERITY[decision]:
            decision = rule.action
    return Screening(decision, score, tuple(fired))


def _fires(when: Conditions, candidate: ScreenedPayment, facts: Facts, scale: int) -> bool:
    return (
        (when.amount_gte is None or candidate.amount_minor * scale >= when.amount_gte)
        and (when.currency_in is None or candidate.currency in when.currency_in)
        and (when.customer_in is None or candidate.customer in when.customer_in)
        and (when.payment_method_in is None or candidate.payment_method in when.payment_method_in)
        and (when.first_seen_customer is None or facts.first_seen_customer is when.first_seen_customer)
        and (when.velocity is None or _is_reached(when.velocity, facts, scale))
    )


def _is_reached(velocity: Velocity, facts: Facts, scale: int) -> bool:
    if velocity.window not in facts.counts:
        # The payment names no customer or no method, so there is nothing to count.
        return False
    number, amount_minor = facts.counts[velocity.window]
    return (velocity.count_gte is None or number >= velocity.count_gte) and (
        velocity.amount_gte is None or amount_minor * scale >= velocity.amount_gte
    )
