"""Prove that two books hold the same journals: a hash for each account, and the first difference with both sides.

An account's hash is a chain: it begins with the SHA-256 of the account's name, and every entry, in the order of event,
rule, number and side, makes it SHA-256(hash before ‖ entry). So it does not depend on where the work was interrupted,
and 32 bytes for each account are all that a later slice needs. The hash of a book is the SHA-256 over its accounts in
the order of their names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.times import format_time
from paybridge.ledger.domain.accounts import AccountKey, account_name

# Event, journal, payment and operation of 16 bytes each, the event's time (8), number (2), side (1) and amount (8).
ENTRY_BYTES = 83
_NO_ID = UUID(int=0)
_YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DETAILS = Struct(">qhcq")


class Digest(NamedTuple):
    """The hash of an account after so many entries."""

    hash: bytes
    entries: int = 0


def begin_digest(account: str) -> Digest:
    """Return the hash of an account without entries."""
    return Digest(sha256(account.encode()).digest())


def add_entries(digest: Digest, entries: bytes) -> Digest:
    """Return the hash after these entries, which follow each other without a gap."""
    if len(entries) % ENTRY_BYTES:
        raise ValueError(f"{len(entries)} bytes are no whole entries of {ENTRY_BYTES}")
    state = digest.hash
    for start in range(0, len(entries), ENTRY_BYTES):
        state = sha256(state + entries[start : start + ENTRY_BYTES]).digest()
    return Digest(state, digest.entries + len(entries) // ENTRY_BYTES)


class TotalHash:
    """The hash of a book, made from its accounts in the order of their names. Accounts without entries do not count."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._last = ""

    def add(self, account: str, digest: Digest) -> None:
        """Add the next account. Raises ValueError if it is out of order."""
        if not digest.entries:
            return
        if account <= self._last:
            raise ValueError(f"{account} after {self._last}")
        self._last = account
        self._hash.update(f"{account} {digest.entries} {digest.hash.hex()}\n".encode())

    def hexdigest(self) -> str:
        """Return the hash so far."""
        return self._hash.hexdigest()


class JournalKey(NamedTuple):
    """What a journal is known by in every book. Keys have the order in which the books are compared."""

    event_id: UUID
    rule: int


class ComparedTransfer(NamedTuple):
    """A transfer of a journal, with its accounts by name."""

    number: int
    debit: AccountKey
    credit: AccountKey
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedJournal:
    """A journal with everything that an event decides about it."""

    key: JournalKey
    id: UUID
    rule_name: str
    rule_version: int
    happened_at: datetime
    payment_id: UUID | None
    operation_id: UUID | None
    transfers: tuple[ComparedTransfer, ...]

    def view(self) -> dict[str, Any]:
        """Return the journal as operators see it, JSON-ready."""
        return {
            "journal_id": str(self.id),
            "rule": self.rule_name,
            "rule_version": self.rule_version,
            "happened_at": format_time(self.happened_at),
            "payment_id": None if self.payment_id is None else str(self.payment_id),
            "transfers": [
                {
                    "debit": account_name(each.debit),
                    "credit": account_name(each.credit),
                    "amount_minor": str(each.amount_minor),
                }
                for each in self.transfers
            ],
        }


def entries_of(
    journals: Mapping[JournalKey, ComparedJournal], without: Container[UUID] = ()
) -> dict[AccountKey, bytes]:
    """Return the entries of each account as they are hashed, `without` the journals of some events."""
    entries: defaultdict[AccountKey, bytearray] = defaultdict(bytearray)
    for key in sorted(journals):
        if key.event_id in without:
            continue
        journal = journals[key]
        ids = (key.event_id, journal.id, journal.payment_id or _NO_ID, journal.operation_id or _NO_ID)
        begin = b"".join(each.bytes for each in ids)
        time = (journal.happened_at - _YEAR_2000) // _MICROSECOND
        for number, debit, credit, amount_minor in journal.transfers:
            entries[credit] += begin + _DETAILS.pack(time, number, b"c", amount_minor)
            entries[debit] += begin + _DETAILS.pack(time, number, b"d", amount_minor)
    return {account: bytes(of_account) for account, of_account in entries.items()}


class DifferenceKind(StrEnum):
    """How the live book differs from the rebuilt one."""

    # The live book lacks the journal.
    MISSING = "missing"
    # Only the live book has the journal: no event and rule make it.
    EXTRA = "extra"
    # Both have it, with other accounts, amounts or another version of the rule.
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """A journal that is not the same in both books, with both sides."""

    key: JournalKey
    kind: DifferenceKind
    live: ComparedJournal | None
    rebuilt: ComparedJournal | None

    @property
    def account(self) -> AccountKey | None:
        """Return the first account whose entries differ; None for journals without transfers."""
        return next(_differing_accounts(self.live, self.rebuilt), None)

    def view(self) -> dict[str, Any]:
        """Return the difference as operators see it, JSON-ready."""
        account = self.account
        return {
            "kind": str(self.kind),
            "event_id": str(self.key.event_id),
            "account": None if account is None else account_name(account),
            "live": None if self.live is None else self.live.view(),
            "rebuilt": None if self.rebuilt is None else self.rebuilt.view(),
        }


def find_differences(
    live: Mapping[JournalKey, ComparedJournal], rebuilt: Mapping[JournalKey, ComparedJournal]
) -> Iterator[Difference]:
    """Yield the journals that are not the same in both, in the order of their keys."""
    for key in sorted(live.keys() | rebuilt.keys()):
        ours, theirs = live.get(key), rebuilt.get(key)
        if ours == theirs:
            continue
        if ours is None:
            yield Difference(key, DifferenceKind.MISSING, None, theirs)
        elif theirs is None:
            yield Difference(key, DifferenceKind.EXTRA, ours, None)
        else:
            yield Difference(key, DifferenceKind.DIFFERENT, ours, theirs)


def _differing_accounts(one: ComparedJournal | None, other: ComparedJournal | None) -> Iterator[AccountKey]:
    ours, theirs = _transfers(one), _transfers(other)
    differing = (
        pair
        for number in sorted(ours.keys() | theirs.keys())
        if (pair := (ours.get(number), theirs.get(number)))[0] != pair[1]
    )
    for first, second in differing:
        yield from _unlike(first, second)
    # The journals differ in their version or time alone.
    for transfer in (ours | theirs).values():
        yield transfer.debit


def _transfers(journal: ComparedJournal | None) -> dict[int, ComparedTransfer]:
    return {} if journal is None else {transfer.number: transfer for transfer in journal.transfers}


def _unlike(one: ComparedTransfer | None, other: ComparedTransfer | None) -> Iterable[AccountKey]:
    """Return the accounts of two transfers whose entries differ: a changed debit alone leaves the credit as it is."""
    if one is None or other is None or one.amount_minor != other.amount_minor:
        given = one or other
        return () if given is None else (given.debit, given.credit)
    if one.debit != other.debit:
        return (one.debit, other.debit)
    return (one.credit, other.credit)
