"""Events about money, posted without a broker, for tests and the bench of the books."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from paybridge.core.clock import SystemClock
from paybridge.core.events import (
    CHARGE_RETURNED,
    CHARGE_TAKEN,
    OPERATION_SUBJECT,
    PAYMENT_CANCELED,
    PAYMENT_FAILED,
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_SUBJECT,
    PAYMENT_SUCCEEDED,
    REFUND_FAILED,
    REFUND_SUBJECT,
    REFUND_SUCCEEDED,
    Event,
)
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.ledger.correct_journal import Corrected, CorrectionOrder, correct_journal
from paybridge.ledger.domain.accounts import AccountKind, balance_minor
from paybridge.ledger.domain.corrections import CorrectionKey
from paybridge.ledger.post import post_events

_IDS = Uuid7Ids()

_TOTALS = Statement("""
    SELECT owner, kind, currency, debits_minor::text, credits_minor::text
    FROM ledger.accounts JOIN ledger.books ON books.id = book AND state = 'live'
""")


@dataclass(slots=True)
class MoneyEvents:
    """Makes the events of one merchant's payments, each a moment after the last."""

    merchant_id: uuid.UUID = field(default_factory=uuid.uuid4)
    currency: str = "EUR"
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def succeeded(self, amount: str, payment_id: uuid.UUID | None = None, **operation: Any) -> Event:
        """A payment was charged, or with `type="capture"` captured."""
        return self._payment(PAYMENT_SUCCEEDED, payment_id, {"type": "charge", "amount": amount, **operation})

    def authorized(self, amount: str, payment_id: uuid.UUID | None = None) -> Event:
        return self._payment(PAYMENT_REQUIRES_CAPTURE, payment_id, {"type": "authorization", "amount": amount})

    def canceled(self, amount: str, payment_id: uuid.UUID | None = None) -> Event:
        return self._payment(PAYMENT_CANCELED, payment_id, {"type": "void", "amount": amount})

    def failed(self, payment_id: uuid.UUID | None = None, **operation: Any) -> Event:
        return self._payment(PAYMENT_FAILED, payment_id, operation or None)

    def refunded(self, amount: str, payment_id: uuid.UUID | None = None) -> Event:
        return self._refund(REFUND_SUCCEEDED, payment_id, {"amount": amount})

    def refund_failed(self, amount: str, payment_id: uuid.UUID | None = None, *, taken_back: bool = True) -> Event:
        return self._refund(REFUND_FAILED, payment_id, {"amount": amount, "taken_back": taken_back})

    def charge_taken(self, amount: str) -> Event:
        return self._subject(CHARGE_TAKEN, OPERATION_SUBJECT, uuid.uuid4(), _IDS.new(), {"amount": amount})

    def charge_returned(self, amount: str) -> Event:
        return self._subject(CHARGE_RETURNED, OPERATION_SUBJECT, uuid.uuid4(), _IDS.new(), {"amount": amount})

    def payout(self, what: str, amount: str, payout_id: uuid.UUID | None = None) -> Event:
        """`what` is `created`, `paid` or `failed`."""
        return self._subject(f"payout.{what}", "payout", payout_id or _IDS.new(), None, {"amount": amount})

    def _payment(self, type_: str, payment_id: uuid.UUID | None, operation: Mapping[str, Any] | None) -> Event:
        id_ = payment_id or _IDS.new()
        made = None if operation is None else {"operation_id": str(_IDS.new()), "taken_back": False, **operation}
        return self._event(type_, id_, PAYMENT_SUBJECT, None, {"payment_id": str(id_), "operation": made})

    def _refund(self, type_: str, payment_id: uuid.UUID | None, data: Mapping[str, Any]) -> Event:
        return self._subject(type_, REFUND_SUBJECT, _IDS.new(), payment_id or _IDS.new(), data)

    def _subject(
        self, type_: str, subject: str, id_: uuid.UUID, payment_id: uuid.UUID | None, data: Mapping[str, Any]
    ) -> Event:
        named = {f"{subject}_id": str(id_), **data}
        return self._event(type_, payment_id, subject, id_, named)

    def _event(
        self,
        type_: str,
        payment_id: uuid.UUID | None,
        subject_type: str,
        subject_id: uuid.UUID | None,
        data: Mapping[str, Any],
    ) -> Event:
        self.now += timedelta(microseconds=1)
        return Event(
            id=_IDS.new(),
            type=type_,
            payment_id=payment_id,
            merchant_id=self.merchant_id,
            correlation_id="c-1",
            time=self.now,
            data={"currency": self.currency, **data},
            sequence=1,
            subject_type=subject_type,
            subject_id=subject_id,
        )


def new_correction(database: Database, merchant_id: uuid.UUID) -> uuid.UUID:
    """A correction of a journal of the merchant."""
    wrong = MoneyEvents(merchant_id).succeeded("1.00")
    assert post_events(database, [wrong]).posted == 1
    key = CorrectionKey(str(wrong.id), bytes(32))
    order = CorrectionOrder(event_id=wrong.id, reason="test", actor="test", key=key)
    result = correct_journal(database, SystemClock(), _IDS, order)
    assert isinstance(result, Corrected)
    return result.correction.id


def all_balances(database: Database) -> dict[tuple[uuid.UUID | None, str, str], int]:
    """Every balance of the live book in minor units, by owner, kind and currency."""
    return {
        (owner, kind, currency): balance_minor(AccountKind(kind), int(debits), int(credits_))
        for owner, kind, currency, debits, credits_ in database.run(_TOTALS)
    }


def balances(database: Database, owner: uuid.UUID | None) -> dict[tuple[str, str], int]:
    """The balances of a merchant, or with None of the house, in minor units by kind and currency."""
    return {(kind, currency): amount for (of, kind, currency), amount in all_balances(database).items() if of == owner}
