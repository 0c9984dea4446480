"""An account at Stripe: its PaymentIntents, charges and refunds, and the rules by which they change."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from local.testkit.stripe import objects
from local.testkit.stripe.objects import Object, StripeError, invalid_request, missing

AUTHORIZATION_SECONDS = 7 * 86400
# Stripe's test cards whose charge is declined: their code and decline code.
DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", None),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
}
SUCCESS = "pm_card_visa"
AUTHENTICATION = "pm_card_authenticationRequired"
# What is decided in `let_time_pass`: debits of accounts at a bank, refunds that are pending at first, and refunds that
# succeed at first and fail later.
SLOW = "pm_usBankAccount_success"
SLOW_FAILURE = "pm_usBankAccount_failure"
REFUND_PENDING = "pm_card_pendingRefund"
REFUND_FAILS = "pm_card_refundFail"
# Not Stripe's: a card that approves four fifths, one whose holds expire in `let_time_pass`, one whose captures are
# declined, and one whose refunds fail at once.
PARTIAL = "pm_card_partial"
SHORT_HOLD = "pm_card_shortHold"
CAPTURE_DECLINED = "pm_card_captureDeclined"
REFUND_DECLINED = "pm_card_refundDeclined"
METHODS = {
    SUCCESS,
    AUTHENTICATION,
    SLOW,
    SLOW_FAILURE,
    REFUND_PENDING,
    REFUND_FAILS,
    PARTIAL,
    SHORT_HOLD,
    CAPTURE_DECLINED,
    REFUND_DECLINED,
    *DECLINES,
}

WITHOUT_DECIMALS = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xpf"}
THREE_DECIMALS = {"bhd", "jod", "kwd", "omr", "tnd"}
WHOLE_UNITS_TIMES_100 = {"isk", "ugx"}


# What a movement of money is among the balance transactions. A hold moves none.
_BALANCE_TYPES = {"charge": "charge", "capture": "charge", "refund": "refund", "refund_reversal": "refund_failure"}


class Movement(NamedTuple):
    """Money that was held, taken, released or returned: for which PaymentIntent, and how much of Stripe's units."""

    kind: str
    intent_id: str
    amount: int
    currency: str


class Account:
    """The objects of an account. Every change that moves money is in `movements`, and every event in `events`."""

    def __init__(self) -> None:
        self.intents: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.movements: list[Movement] = []
        self.balance_transactions: list[Object] = []
        self.events: list[Object] = []
        self.now: Callable[[], float] = time.time
        self._numbers = itertools.count(1)

    def create_intent(self, form: Object) -> Object:
        """Create a PaymentIntent and confirm it, as the form says."""
        method = form.get("payment_method")
        if method is not None and method not in METHODS:
            raise missing("PaymentMethod", method, "payment_method")
        _check_amount(form["amount"], form["currency"])
        intent = objects.payment_intent(self._id("pi"), form, int(self.now()))
        self.intents[intent["id"]] = intent
        self._emit("payment_intent.created", intent)
        if form.get("confirm"):
            if method is None:
                raise invalid_request("parameter_missing", "A payment method is needed.", param="payment_method")
            self._confirm(intent, bool(form.get("error_on_requires_action")))
        return intent

    def capture(self, id_: str, form: Object) -> Object:
        """Take what is held, or a part of it, and release the rest."""
        intent = self.intent(id_)
        if intent["status"] != "requires_capture":
            raise self._unexpected_state(intent, "captured")
        amount = int(form.get("amount_to_capture") or intent["amount_capturable"])
        _check_amount(amount, intent["currency"])
        if amount > intent["amount_capturable"]:
            raise invalid_request("amount_too_large", "More than is held.", param="amount_to_capture")
        intent["metadata"] |= form.get("metadata", {})
        if intent["payment_method"] == CAPTURE_DECLINED:
            # The hold stays as it is.
            raise _card_error(intent, objects.card_error("card_declined", "do_not_honor"))
        self._move("capture", amount, intent)
        self._take(intent, amount)
        return intent

    def cancel(self, id_: str, reason: str | None = None) -> Object:
        """Release what is held. A reason `automatic` is Stripe's own, after seven days."""
        intent = self.intent(id_)
        if intent["status"] in {"succeeded", "canceled", "processing"}:
            raise self._unexpected_state(intent, "canceled")
        if intent["status"] == "requires_capture":
            self._move("void", intent["amount_capturable"], intent)
            charge = self.charges[intent["latest_charge"]]
            charge |= {"amount_refunded": charge["amount"], "refunded": True}
            if reason == "automatic":
                self._emit("charge.expired", charge)
        intent |= {
            "status": "canceled",
            "amount_capturable": 0,
            "canceled_at": int(self.now()),
            "cancellation_reason": reason,
        }
        self._emit("payment_intent.canceled", intent)
        return intent

    def create_refund(self, form: Object) -> Object:
        """Return a part of what was taken."""
        intent = self.intents.get(form["payment_intent"])
        if intent is None:
            raise missing("payment_intent", form["payment_intent"], "payment_intent", status=404)
        if intent["status"] != "succeeded":
            raise invalid_request("charge_not_refundable", "There is nothing to refund.", param="payment_intent")
        left = intent["amount_received"] - sum(one["amount"] for one in self._standing_refunds(intent))
        amount = form.get("amount", left)
        if left == 0:
            raise invalid_request("charge_already_refunded", "The charge has already been refunded.")
        _check_amount(amount, intent["currency"])
        if amount > left:
            raise invalid_request(None, "The refund is greater than the unrefunded amount.", param="amount")
        refund = objects.refund(self._id("re"), intent, amount, form.get("metadata", {}), int(self.now()))
        if intent["payment_method"] == REFUND_PENDING:
            refund |= {"status": "pending", "pending_reason": "processing"}
        elif intent["payment_method"] == REFUND_DECLINED:
            refund |= {"status": "failed", "failure_reason": "declined"}
        else:
            self._move("refund", amount, intent, refund["id"])
        self.refunds[refund["id"]] = refund
        self._emit("refund.created", refund)
        self._emit("charge.refunded", self.charges[intent["latest_charge"]])
        return refund

    def let_time_pass(self) -> None:
        """Decide what Stripe decides later. Each decision is final."""
        for intent in list(self.intents.values()):
            if intent["status"] == "processing" and intent["payment_method"] == SLOW_FAILURE:
                self._fail(intent, "payment_method_provider_decline", None)
            elif intent["status"] == "processing":
                self._approve(intent, intent["amount"])
            elif intent["status"] == "requires_capture" and intent["payment_method"] == SHORT_HOLD:
                self.cancel(intent["id"], "automatic")
        for refund in list(self.refunds.values()):
            method = self.intents[refund["payment_intent"]]["payment_method"]
            if refund["status"] == "pending":
                refund["status"] = "succeeded"
                self._move("refund", refund["amount"], self.intents[refund["payment_intent"]], refund["id"])
                self._emit("refund.updated", refund)
            elif refund["status"] == "succeeded" and method == REFUND_FAILS:
                self.take_back(refund["id"])

    def take_back(self, refund_id: str, reason: str = "expired_or_canceled_card") -> None:
        """Let a refund fail that had succeeded, as when the customer's bank returns it."""
        refund = self.refunds[refund_id]
        refund |= {"status": "failed", "failure_reason": reason}
        self._move("refund_reversal", refund["amount"], self.intents[refund["payment_intent"]], refund["id"])
        self._emit("refund.updated", refund)
        self._emit("refund.failed", refund)

    def intent(self, id_: str) -> Object:
        """Return a PaymentIntent. Raises StripeError."""
        if id_ not in self.intents:
            raise missing("payment_intent", id_, "intent", status=404)
        return self.intents[id_]

    def refund(self, id_: str) -> Object:
        """Return a refund. Raises StripeError."""
        if id_ not in self.refunds:
            raise missing("refund", id_, "id", status=404)
        return self.refunds[id_]

    def _confirm(self, intent: Object, fails_on_action: bool) -> None:
        method = intent["payment_method"]
        if method in DECLINES:
            raise _card_error(intent, self._fail(intent, *DECLINES[method]))
        if method == AUTHENTICATION:
            if fails_on_action:
                error = self._fail(intent, "authentication_required", "authentication_required")
                raise _card_error(intent, error)
            intent |= {"status": "requires_action", "next_action": {"type": "use_stripe_sdk"}}
            self._emit("payment_intent.requires_action", intent)
        elif method in {SLOW, SLOW_FAILURE}:
            intent["status"] = "processing"
            self._emit("payment_intent.processing", intent)
        else:
            self._approve(intent, intent["amount"] * 4 // 5 if method == PARTIAL else intent["amount"])

    def _approve(self, intent: Object, amount: int) -> None:
        is_held = intent["capture_method"] == "manual"
        now = int(self.now())
        expires = now + AUTHORIZATION_SECONDS if is_held else None
        charge = objects.charge(self._id("ch"), intent, amount, expires, now)
        self.charges[charge["id"]] = charge
        intent["latest_charge"] = charge["id"]
        kind = "authorization" if is_held else "charge"
        self._move(kind, amount, intent)
        if is_held:
            intent |= {"status": "requires_capture", "amount_capturable": amount}
            self._emit("payment_intent.amount_capturable_updated", intent)
        else:
            self._take(intent, amount)

    def _take(self, intent: Object, amount: int) -> None:
        intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
        charge = self.charges.get(intent["latest_charge"] or "")
        if charge is not None:
            charge |= {"captured": True, "amount_captured": amount}
        self._emit("payment_intent.succeeded", intent)

    def _fail(self, intent: Object, code: str, decline_code: str | None) -> Object:
        error = objects.card_error(code, decline_code)
        intent |= {"status": "requires_payment_method", "last_payment_error": error, "amount_capturable": 0}
        self._emit("payment_intent.payment_failed", intent)
        return error

    def _unexpected_state(self, intent: Object, verb: str) -> StripeError:
        message = f"This PaymentIntent could not be {verb} because it has a status of {intent['status']}."
        return invalid_request("payment_intent_unexpected_state", message, payment_intent=intent)

    def _standing_refunds(self, intent: Object) -> Iterator[Object]:
        for refund in self.refunds.values():
            if refund["payment_intent"] == intent["id"] and refund["status"] not in {"failed", "canceled"}:
                yield refund

    def _move(self, kind: str, amount: int, intent: Object, source_id: str | None = None) -> None:
        self.movements.append(Movement(kind, intent["id"], amount, intent["currency"].upper()))
        type_ = _BALANCE_TYPES.get(kind)
        if type_ is not None:
            source_id = source_id or intent["latest_charge"]
            moved = objects.balance_transaction(self._id("txn"), type_, source_id, amount, intent, int(self.now()))
            self.balance_transactions.append(moved)

    def _emit(self, type_: str, about: Object) -> None:
        self.events.append(objects.event(self._id("evt"), type_, copy.deepcopy(about), int(self.now())))

    def _id(self, prefix: str) -> str:
        return f"{prefix}_3{next(self._numbers):023d}"


def _card_error(intent: Object, error: Object) -> StripeError:
    return StripeError(402, **error, payment_intent=intent)


def _check_amount(amount: int, currency: str) -> None:
    if amount < 1:
        raise invalid_request("parameter_invalid_integer", "Invalid positive integer", param="amount")
    if len(str(amount)) > 12:
        raise invalid_request("amount_too_large", "Amount must be no more than 12 digits.", param="amount")
    if currency in WHOLE_UNITS_TIMES_100 and amount % 100:
        code = "invalid_charge_amount_no_decimal_compatible"
        raise invalid_request(code, f"{currency.upper()} amounts must be evenly divisible by 100.", param="amount")
    if currency in THREE_DECIMALS and amount % 10:
        raise invalid_request(None, "The last digit must be 0.", param="amount")
