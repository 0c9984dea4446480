"""Entries: the transfers of the books as they are listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct
from struct import error as StructError  # noqa: N812 -- it is an error class.
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.times import format_time
from paybridge.ledger.domain.accounts import AccountKey, account_name, format_signed
from paybridge.ledger.domain.rules import rule_name

_PLACE = Struct("!q16shh")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class EntryPosition(NamedTuple):
    """The place of an entry in a list: by time, and among those of one moment by their key."""

    happened_at: datetime
    event_id: UUID
    rule: int
    number: int

    def to_bytes(self) -> bytes:
        """Return the place as a cursor holds it."""
        microseconds = (self.happened_at - _EPOCH) // _MICROSECOND
        return _PLACE.pack(microseconds, self.event_id.bytes, self.rule, self.number)


def position_from_bytes(data: bytes) -> EntryPosition:
    """Return the place that a cursor holds. Raises ValueError."""
    try:
        microseconds, event_id, rule, number = _PLACE.unpack(data)
        return EntryPosition(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=event_id), rule, number)
    except (StructError, OverflowError):
        raise ValueError("no position of an entry") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One transfer and its journal."""

    position: EntryPosition
    journal_id: UUID
    rule_version: int
    owner: UUID
    payment_id: UUID | None
    operation_id: UUID | None
    debit: AccountKey
    credit: AccountKey
    amount_minor: int
    posted_at: datetime
    corrects: UUID | None
    reason: str | None


def entry_view(entry: LedgerEntry) -> dict[str, Any]:
    """Return an entry as answers show it, JSON-ready."""
    return {
        "journal_id": str(entry.journal_id),
        "number": entry.position.number,
        "rule": rule_name(entry.position.rule),
        "rule_version": entry.rule_version,
        "event_id": str(entry.position.event_id),
        "payment_id": _text(entry.payment_id),
        "operation_id": _text(entry.operation_id),
        "merchant_id": str(entry.owner),
        "debit_account": account_name(entry.debit),
        "credit_account": account_name(entry.credit),
        "amount": format_signed(entry.amount_minor, entry.debit.places),
        "currency": entry.debit.currency,
        "happened_at": format_time(entry.position.happened_at),
        "posted_at": format_time(entry.posted_at),
        "corrects": _text(entry.corrects),
        "reason": entry.reason,
    }


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)
