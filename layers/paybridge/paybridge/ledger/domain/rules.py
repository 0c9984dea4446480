"""The posting rules: which transfers an event makes. This table is all there is.

docs/operators/posting-rules.md explains it to an accountant. A rule that changes gets another version, which changes
the ids of its journals, and RULES_VERSION grows, so that a book says by which rules it was built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from paybridge.access.domain.fees import FeeChange, rule_in_force
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import (
    CHARGE_RETURNED,
    CHARGE_TAKEN,
    PAYMENT_CANCELED,
    PAYMENT_FAILED,
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_SUCCEEDED,
    REFUND_FAILED,
    REFUND_SUCCEEDED,
    Event,
)
from paybridge.ledger.domain.accounts import AccountKind, account_key
from paybridge.ledger.domain.facts import MoneyFact, OperationType, read_fact
from paybridge.ledger.domain.fees import fee_minor
from paybridge.ledger.domain.journals import Journal, Transfer, journal_id

RULES_VERSION = 1

AVAILABLE, PENDING, RESERVED = AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.RESERVED
CLEARING, HELD_BY_GATEWAY = AccountKind.GATEWAY_CLEARING, AccountKind.GATEWAY_AUTHORIZED
FEES, GIVEN_BACK, PAID_OUT = AccountKind.FEES, AccountKind.GIVEN_BACK, AccountKind.PAYOUTS_PAID


class Amount(StrEnum):
    """What a transfer moves. A transfer of zero is left out."""

    AMOUNT = "amount"
    HELD = "held"
    FEE = "fee"


class Move(NamedTuple):
    """A transfer of a rule: debit one account, credit another."""

    debit: AccountKind
    credit: AccountKind
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingRule:
    """What is posted for an event of this type that was caused by one of these operations.

    `taken_back` is what the event must say about that: nothing was taken back, it was, or None for either.
    """

    number: int
    name: str
    version: int
    event: str
    operations: tuple[OperationType, ...]
    taken_back: bool | None = False
    moves: tuple[Move, ...]


_TAKING = (OperationType.CHARGE, OperationType.CAPTURE)

RULES: tuple[PostingRule, ...] = (
    # The gateway holds money of the buyer.
    PostingRule(
        number=1,
        name="authorize",
        version=1,
        event=PAYMENT_REQUIRES_CAPTURE,
        operations=(OperationType.AUTHORIZATION,),
        moves=(Move(HELD_BY_GATEWAY, PENDING, Amount.AMOUNT),),
    ),
    # The gateway took money, all at once or from the hold, which then ends as a whole.
    PostingRule(
        number=2,
        name="capture",
        version=1,
        event=PAYMENT_SUCCEEDED,
        operations=_TAKING,
        moves=(
            Move(PENDING, HELD_BY_GATEWAY, Amount.HELD),
            Move(CLEARING, AVAILABLE, Amount.AMOUNT),
            Move(AVAILABLE, FEES, Amount.FEE),
        ),
    ),
    # The gateway refused the capture, and the hold ends.
    PostingRule(
        number=3,
        name="capture_failed",
        version=1,
        event=PAYMENT_FAILED,
        operations=(OperationType.CAPTURE,),
        moves=(Move(PENDING, HELD_BY_GATEWAY, Amount.HELD),),
    ),
    # The hold was released, or has expired.
    PostingRule(
        number=4,
        name="void",
        version=1,
        event=PAYMENT_CANCELED,
        operations=(OperationType.VOID,),
        moves=(Move(PENDING, HELD_BY_GATEWAY, Amount.AMOUNT),),
    ),
    # The gateway took the money back after the payment had succeeded. The fee stays, as for a refund.
    PostingRule(
        number=5,
        name="capture_taken_back",
        version=1,
        event=PAYMENT_FAILED,
        operations=_TAKING,
        taken_back=True,
        moves=(Move(AVAILABLE, CLEARING, Amount.AMOUNT),),
    ),
    # The buyer has money back. The fee stays.
    PostingRule(
        number=6,
        name="refund",
        version=1,
        event=REFUND_SUCCEEDED,
        operations=(OperationType.REFUND,),
        moves=(Move(AVAILABLE, CLEARING, Amount.AMOUNT),),
    ),
    # The bank returned a refund that had succeeded.
    PostingRule(
        number=7,
        name="refund_taken_back",
        version=1,
        event=REFUND_FAILED,
        operations=(OperationType.REFUND,),
        taken_back=True,
        moves=(Move(CLEARING, AVAILABLE, Amount.AMOUNT),),
    ),
    # The gateway took money that settles no payment: a part of one, or one that came too late.
    PostingRule(
        number=8,
        name="charge_taken",
        version=1,
        event=CHARGE_TAKEN,
        operations=(OperationType.CHARGE,),
        moves=(Move(CLEARING, GIVEN_BACK, Amount.AMOUNT),),
    ),
    # That money went back to the buyer.
    PostingRule(
        number=9,
        name="charge_returned",
        version=1,
        event=CHARGE_RETURNED,
        operations=(OperationType.CHARGE,),
        moves=(Move(GIVEN_BACK, CLEARING, Amount.AMOUNT),),
    ),
    # A merchant ordered a payout. Its journal is written with the order, and the event finds it there.
    PostingRule(
        number=10,
        name="payout",
        version=1,
        event="payout.created",
        operations=(OperationType.PAYOUT,),
        moves=(Move(AVAILABLE, RESERVED, Amount.AMOUNT),),
    ),
    PostingRule(
        number=11,
        name="payout_paid",
        version=1,
        event="payout.paid",
        operations=(OperationType.PAYOUT,),
        moves=(Move(RESERVED, PAID_OUT, Amount.AMOUNT),),
    ),
    PostingRule(
        number=12,
        name="payout_failed",
        version=1,
        event="payout.failed",
        operations=(OperationType.PAYOUT,),
        moves=(Move(RESERVED, AVAILABLE, Amount.AMOUNT),),
    ),
)

# The journals of these follow the row of their payout.
PAYOUT_RULES = frozenset(rule.number for rule in RULES if OperationType.PAYOUT in rule.operations)
_NAMES = {rule.number: rule.name for rule in RULES}
# Every other event moves no money.
POSTED_TYPES = frozenset(rule.event for rule in RULES)
# The fees of the merchants of these must be known.
CHARGED_TYPES = frozenset(rule.event for rule in RULES if any(move.amount is Amount.FEE for move in rule.moves))


def rule_name(number: int) -> str:
    """Return the name of a rule by its number. That of a correction is the number below zero."""
    name = _NAMES.get(abs(number), str(abs(number)))
    return f"correction_of_{name}" if number < 0 else name


def journal_of(event: Event, fees: Sequence[FeeChange] = (), rules: Sequence[PostingRule] = RULES) -> Journal | None:
    """Return the journal of an event, None if it moves no money. `fees` is the history of its merchant's fees.

    The same event and the same fees make the same journal, at any time and in any order. Raises MalformedMessage for an
    event whose money cannot be read.
    """
    if event.type not in POSTED_TYPES:
        return None
    fact = read_fact(event)
    rule = None if fact is None else _rule_of(event, fact, rules)
    if fact is None or rule is None:
        return None
    transfers = tuple(_transfers(event, fact, rule, fees))
    if not transfers:
        return None
    return Journal(
        event_id=event.id,
        rule=rule.number,
        rule_version=rule.version,
        id=journal_id(event.id, rule.name, rule.version),
        owner=event.merchant_id,
        payment_id=event.payment_id,
        operation_id=fact.operation_id,
        currency=fact.currency,
        happened_at=event.time,
        transfers=transfers,
    )


def _rule_of(event: Event, fact: MoneyFact, rules: Sequence[PostingRule]) -> PostingRule | None:
    for rule in rules:
        if (
            rule.event == event.type
            and fact.operation in rule.operations
            and rule.taken_back in (None, fact.is_taken_back)
        ):
            return rule
    return None


def _transfers(event: Event, fact: MoneyFact, rule: PostingRule, fees: Sequence[FeeChange]) -> list[Transfer]:
    transfers = []
    for move in rule.moves:
        amount_minor = _amount_minor(event, fact, move.amount, fees)
        if amount_minor:
            debit, credit = (
                account_key(event.merchant_id, kind, fact.currency, fact.places) for kind in (move.debit, move.credit)
            )
            transfers.append(Transfer(debit, credit, amount_minor))
    return transfers


def _amount_minor(event: Event, fact: MoneyFact, amount: Amount, fees: Sequence[FeeChange]) -> int:
    match amount:
        case Amount.AMOUNT:
            if fact.amount_minor == 0:
                raise MalformedMessage("the amount is zero")
            return fact.amount_minor
        case Amount.HELD:
            return fact.held_minor
        case Amount.FEE:
            return fee_minor(rule_in_force(fees, event.time), fact.amount_minor, fact.currency, fact.places)
