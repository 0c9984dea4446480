"""Charges the payments of a batch, each exactly once in effect.

    begin     decide, and commit the attempts                 one transaction for each part of the batch
    call      ask the gateway, all of a part at once          no transaction
    record    commit outcomes with their events, as they come one transaction for each group

A process that dies anywhere leaves either no attempt, a started one (whose outcome the next delivery asks the gateway
for, with the same idempotency key), or a settled payment. None of these charges twice or forgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from uuid import UUID

from paybridge.core.errors import PaybridgeError
from paybridge.core.groups import AnswerGroups
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.payments.begin_attempts import begin_attempts
from paybridge.payments.domain.charging import gateway_key
from paybridge.payments.domain.circuit import Circuit
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.ports import Charged, ChargeRequest, Declined, GatewayOutcome, Rejected, Unknown
from paybridge.payments.processing import Attempt, Begun, ChargeOrder, Outcome, Processed, Processing
from paybridge.payments.record_outcomes import record_outcomes

# Answers that arrive this close together are committed together: one transaction for a thousand quick answers, and
# no quick answer held back by a slow one.
GROUP_SECONDS = 0.02
# Orders whose attempts begin in one transaction. Smaller parts let the gateway begin sooner and cost more transactions.
PART_ORDERS = 500


async def process_payments(processing: Processing, orders: Sequence[ChargeOrder]) -> list[Processed]:
    """Charge the orders and return the outcome of every payment that was still open.

    Raises DatabaseUnavailable or LockTimeout: the whole batch must be redelivered.
    """
    async with AnswerGroups[Outcome](GROUP_SECONDS) as calls:
        charges = _Charges(processing, calls)
        await charges.begin(orders)
        await charges.end()
        return charges.processed


class _Charges:
    """The charges of one batch that are under way, and what became of the others."""

    def __init__(self, processing: Processing, calls: AnswerGroups[Outcome]) -> None:
        self.processed: list[Processed] = []
        self._processing = processing
        self._circuit = Circuit()
        self._calls = calls

    async def begin(self, orders: Sequence[ChargeOrder]) -> None:
        """Begins all of them, part by part: the gateway is at work on one part while the next is begun.

        When a part cannot begin, those before it are brought to their end, and its error is raised.
        """
        wanted = _once_each(orders)
        for start in range(0, len(wanted), PART_ORDERS):
            try:
                begun, others = await asyncio.to_thread(_begin, self._processing, wanted[start : start + PART_ORDERS])
            except PaybridgeError:
                await self.end()
                raise
            self.processed += others
            # A circuit that was not closed at one of these moments is to hear of every answer.
            self._circuit = begun.circuit if begun.circuit != Circuit() else self._circuit
            self._calls.start(_call(self._processing, attempt) for attempt in begun.attempts)

    async def end(self) -> None:
        """Records the answers as they come, until there are no more."""
        async for outcomes in self._calls:
            self.processed += await asyncio.to_thread(_record, self._processing, outcomes, self._circuit)


def _once_each(orders: Sequence[ChargeOrder]) -> list[ChargeOrder]:
    """One order for each payment, the one for the latest attempt."""
    latest: dict[UUID, ChargeOrder] = {}
    for order in orders:
        known = latest.get(order.payment_id)
        if known is None or known.number < order.number:
            latest[order.payment_id] = order
    return list(latest.values())


def _begin(processing: Processing, orders: Sequence[ChargeOrder]) -> tuple[Begun, list[Processed]]:
    """Starts the attempts, and tells of the payments that none was started for."""
    refused: list[Processed] = []

    def on_bad(order: ChargeOrder, error: PaybridgeError) -> None:
        refused.append(Processed(order.payment_id, "", "refused", str(error)))

    parts = run_isolating_bad_items(lambda some: begin_attempts(processing, some), orders, on_bad)
    attempts = [attempt for part in parts for attempt in part.attempts]
    others = [one for part in parts for one in part.others]
    circuit = parts[-1].circuit if parts else Circuit()
    return Begun(attempts, others, circuit), others + refused


def _record(processing: Processing, outcomes: Sequence[Outcome], circuit: Circuit) -> list[Processed]:
    """Records a group of outcomes, and tells what became of each payment.

    A payment whose outcome the database refuses stays processing, for the sweep to send on, and holds up nobody else.
    """
    refused: dict[UUID, str] = {}

    def on_bad(outcome: Outcome, error: PaybridgeError) -> None:
        refused[outcome.attempt.payment.id] = str(error)

    parts = run_isolating_bad_items(lambda some: record_outcomes(processing, some, circuit), outcomes, on_bad)
    settled = {id_: status for part in parts for id_, status in part.settled.items()}
    too_late = {id_ for part in parts for id_ in part.charged_too_late}
    return [_processed(outcome.attempt.payment, settled, too_late, refused) for outcome in outcomes]


def _processed(
    payment: Payment, settled: Mapping[UUID, Status], too_late: Set[UUID], refused: Mapping[UUID, str]
) -> Processed:
    if payment.id in refused:
        return Processed(payment.id, payment.correlation_id, "refused", refused[payment.id])
    if payment.id in too_late:
        error = "the gateway charged a payment that had been given up: give the money back"
        return Processed(payment.id, payment.correlation_id, "charged_too_late", error)
    return Processed(payment.id, payment.correlation_id, str(settled.get(payment.id, "unknown")))


async def _call(processing: Processing, attempt: Attempt) -> Outcome:
    payment = attempt.payment
    request = ChargeRequest(
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payment_method=payment.payment_method,
        idempotency_key=gateway_key(payment.id),
    )
    # The one place that catches everything: what a gateway's answer makes fail that nobody has foreseen must not keep
    # the answers to all other payments of the batch from being recorded.
    try:
        return Outcome(attempt, await _charge(processing, request, attempt.ask_first))
    except Exception as error:  # noqa: BLE001 - one charge never fails the batch
        return Outcome(attempt, Unknown("gateway_error", f"unforeseen {type(error).__name__}"))


async def _charge(processing: Processing, request: ChargeRequest, ask_first: bool) -> GatewayOutcome:
    """The gateway's word on the charge; without a clear one it is looked up by our reference before it is unknown.

    With `ask_first` an earlier try may have charged: only a gateway that has never heard of that is asked to charge.
    """
    if ask_first:
        known = await processing.gateway.find_charge(request)
        if known is not None:
            return known
    answer = await processing.gateway.charge(request)
    if isinstance(answer, Rejected):
        return Declined("gateway_rejected", "The gateway does not accept this charge.")
    if not isinstance(answer, Unknown):
        return answer
    found = await processing.gateway.find_charge(request)
    if isinstance(found, Charged | Declined):
        return found
    return replace(answer, never_arrived=found is None)
