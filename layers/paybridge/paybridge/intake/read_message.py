"""Read a message that orders a payment: one order, or a refusal whose reason repeats nothing of the message."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from paybridge.core.correlation import is_safe_id
from paybridge.core.errors import InvalidInput, PaybridgeError
from paybridge.core.fields import FieldError, FieldsInvalid, validate
from paybridge.core.ids import Ids
from paybridge.core.raw_messages import RawMessage
from paybridge.core.records import changed
from paybridge.core.strict_json import parse_object
from paybridge.intake.amounts import amount_text
from paybridge.intake.order import read_order
from paybridge.intake.payment_message import ENVELOPE_MEMBERS, MessageEnvelope
from paybridge.intake.plain_body import plain_body
from paybridge.payments.create_many import KeyedOrder
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.payments.idempotency import IdempotentRequest
from paybridge.webhooks.domain.address import IpNetwork

# What a message may ask of the simulated gateway. If it asks for both, the last one counts.
SIMULATIONS = {"simulate_transient_failure": "tok_flaky", "simulate_permanent_failure": "tok_decline"}
# Every member of a payment could be at fault, and the reason would still be a line.
NAMED_FAULTS_MAX = 10


class MessageRefused(PaybridgeError):
    """The message orders no payment, now or on any later delivery. The text is the reason of its dead letter."""


class OrderInvalid(MessageRefused):
    """The order breaks a rule. The same message may have been accepted before there was such a rule."""

    def __init__(self, reason: str, merchant_id: UUID, request: IdempotentRequest) -> None:
        super().__init__(reason)
        self.merchant_id = merchant_id
        self.request = request


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """What depends on the environment.

    `demo_merchant_id` is the merchant of messages that name none. It is None except on the offline stack. Where there
    is one, a message may also ask for a simulated failure.
    """

    local_webhook_networks: tuple[IpNetwork, ...] = ()
    demo_merchant_id: UUID | None = None


def read_message(message: RawMessage, rules: ReadingRules, ids: Ids) -> KeyedOrder:
    """Return the order in the message. Raises MessageRefused, or OrderInvalid if only the payment breaks a rule."""
    try:
        body = plain_body(message.body, message.content_encoding)
        members = parse_object(body)
    except InvalidInput as error:
        raise MessageRefused(f"{error.code}: {error.detail}") from None
    envelope, faults = validate(MessageEnvelope, members)
    merchant_id = None if envelope is None else _merchant_of(envelope, rules)
    if envelope is not None and merchant_id is None:
        faults.append(FieldError("merchant_id", "required", "Name the merchant to pay."))
    order = _read_payment(members, rules)
    if envelope is None or merchant_id is None:
        more = order.errors if isinstance(order, FieldsInvalid) else _faults_of(order)
        raise MessageRefused(_reason_of_many([*faults, *more]))
    request = IdempotentRequest(envelope.idempotency_key, hashlib.sha256(body).digest())
    if isinstance(order, PaymentOrder):
        return KeyedOrder(merchant_id, order, request, _correlation_id(message, ids))
    reason = _reason_of_many(order.errors) if isinstance(order, FieldsInvalid) else f"{order.code}: {order.detail}"
    raise OrderInvalid(reason, merchant_id, request)


def _merchant_of(envelope: MessageEnvelope, rules: ReadingRules) -> UUID | None:
    return rules.demo_merchant_id if envelope.merchant_id is None else UUID(envelope.merchant_id)


def _read_payment(members: Mapping[str, Any], rules: ReadingRules) -> PaymentOrder | FieldsInvalid | InvalidInput:
    """Return the order in the members, or the rules that it breaks, except those of `user_id`."""
    payment = {name: value for name, value in members.items() if name not in ENVELOPE_MEMBERS}
    if "customer" in payment:
        return FieldsInvalid([FieldError("customer", "unknown_member", "Send it as `user_id`.")])
    if rules.demo_merchant_id is not None:
        payment |= _simulated(payment)
    try:
        if "amount" in payment:
            payment["amount"] = amount_text(payment["amount"], payment.get("currency"))
        order = read_order(payment, local_webhook_networks=rules.local_webhook_networks)
    except (FieldsInvalid, InvalidInput) as error:
        return error
    return changed(order, customer=members.get("user_id"))


def _simulated(payment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that change if the message asks for a simulated failure."""
    metadata = payment.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    asked = {name: metadata[name] for name in SIMULATIONS if isinstance(metadata.get(name), bool)}
    # Metadata are texts. These two stay among them, so that the payment shows why it fails.
    changed_members: dict[str, Any] = {"metadata": metadata | {name: str(asked[name]).lower() for name in asked}}
    methods = [SIMULATIONS[name] for name, is_wanted in asked.items() if is_wanted]
    if methods and payment.get("payment_method") is None:
        changed_members["payment_method"] = methods[-1]
    return changed_members


def _faults_of(order: PaymentOrder | InvalidInput) -> list[FieldError]:
    return [FieldError(order.field or "", order.code, order.detail)] if isinstance(order, InvalidInput) else []


def _reason_of_many(faults: Sequence[FieldError]) -> str:
    """Name the first faults. A message may have thousands, and the reason is logged."""
    named = ", ".join(f"{fault.field} {fault.code}" for fault in faults[:NAMED_FAULTS_MAX])
    more = len(faults) - NAMED_FAULTS_MAX
    return f"validation_failed: {named}" + (f", and {more} more" if more > 0 else "")


def _correlation_id(message: RawMessage, ids: Ids) -> str:
    """Return the first id of the message that is safe in logs, otherwise a new one."""
    named = (one for one in (message.correlation_id, message.message_id) if is_safe_id(one))
    return next(named, None) or str(ids.new())
