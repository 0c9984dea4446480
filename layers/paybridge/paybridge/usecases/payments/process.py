"""Charges the payments of a batch, each exactly once in effect.

    begin     decide, and commit the attempts                 one transaction
    call      ask the gateway, all at once                    no transaction
    record    commit outcomes with their events, as they come one transaction for each group

A process that dies anywhere leaves either no attempt, a started one (whose outcome the next delivery asks the gateway
for, with the same idempotency key), or a settled payment. None of these charges twice or forgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from paybridge.domain.charging import gateway_key
from paybridge.domain.payment import Status
from paybridge.ports import Charged, ChargeRequest, Declined, GatewayOutcome, Unknown
from paybridge.usecases.payments.begin_attempts import begin_attempts
from paybridge.usecases.payments.processing import Attempt, ChargeOrder, Outcome, Processed, Processing
from paybridge.usecases.payments.record_outcomes import record_outcomes

# Answers that arrive this close together are committed together: one transaction for a thousand quick answers, and
# no quick answer held back by a slow one.
GROUP_SECONDS = 0.02


async def process_payments(processing: Processing, orders: Sequence[ChargeOrder]) -> list[Processed]:
    """Charges what the orders ask for, and tells of every payment that was not settled before what became of it.

    Raises DatabaseUnavailable: then the whole batch is to be delivered again.
    """
    begun = await asyncio.to_thread(begin_attempts, processing, orders)
    processed = list(begun.deferred)
    pending = {asyncio.create_task(_call(processing, attempt)) for attempt in begun.attempts}
    try:
        while pending:
            outcomes, pending = await _next_group(pending)
            settled = await asyncio.to_thread(record_outcomes, processing, outcomes, begun.circuit)
            processed.extend(_processed(outcome, settled) for outcome in outcomes)
    finally:
        for task in pending:
            task.cancel()
    return processed


def _processed(outcome: Outcome, settled: Mapping[UUID, Status]) -> Processed:
    payment = outcome.attempt.payment
    return Processed(payment.id, payment.correlation_id, str(settled.get(payment.id, "unknown")))


async def _next_group(
    pending: set[asyncio.Task[Outcome]],
) -> tuple[list[Outcome], set[asyncio.Task[Outcome]]]:
    """Waits for the first answer, and then a moment for those right behind it."""
    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    if pending:
        more, pending = await asyncio.wait(pending, timeout=GROUP_SECONDS)
        done |= more
    return [task.result() for task in done], pending


async def _call(processing: Processing, attempt: Attempt) -> Outcome:
    payment = attempt.payment
    request = ChargeRequest(
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payment_method=payment.payment_method,
        idempotency_key=gateway_key(payment.id),
    )
    return Outcome(attempt, await _charge(processing, request, attempt.ask_first))


async def _charge(processing: Processing, request: ChargeRequest, ask_first: bool) -> GatewayOutcome:
    """The gateway's word; a charge without an answer is looked up by our reference before it counts as unknown."""
    if ask_first:
        found = await processing.gateway.find_charge(request)
        if isinstance(found, Charged | Declined):
            return found
    answer = await processing.gateway.charge(request)
    if not isinstance(answer, Unknown):
        return answer
    found = await processing.gateway.find_charge(request)
    return found if isinstance(found, Charged | Declined) else answer
