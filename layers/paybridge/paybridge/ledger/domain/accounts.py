"""The accounts of the books."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from paybridge.core.money import format_places

HOUSE = "house"


class Side(StrEnum):
    """The side of an account that makes its balance larger."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountKind(StrEnum):
    """What an account counts. A kind belongs either to every merchant or to the house."""

    AVAILABLE = "available"
    PENDING = "pending"
    RESERVED = "reserved"
    GATEWAY_CLEARING = "gateway_clearing"
    GATEWAY_AUTHORIZED = "gateway_authorized"
    FEES = "fees"
    GIVEN_BACK = "given_back"
    PAYOUTS_PAID = "payouts_paid"


# What we owe a merchant: money to pay out, money that is held and not taken yet, and payouts on their way.
MERCHANT_KINDS = frozenset({AccountKind.AVAILABLE, AccountKind.PENDING, AccountKind.RESERVED})
# What the gateway owes us: money that it took, and money that it holds.
DEBIT_KINDS = frozenset({AccountKind.GATEWAY_CLEARING, AccountKind.GATEWAY_AUTHORIZED})
_NAME = re.compile(
    rf"({HOUSE}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})/({'|'.join(AccountKind)})/([A-Z]{{3}})/([0-9]{{1,2}})"
)


class AccountKey(NamedTuple):
    """The name of an account within a book. `owner` is the merchant, None for the house.

    Amounts with another number of decimal places are kept apart, so that minor units are never mixed.
    """

    owner: UUID | None
    kind: AccountKind
    currency: str
    places: int


def account_key(merchant_id: UUID, kind: AccountKind, currency: str, places: int) -> AccountKey:
    """Return the account of this kind that a transfer of the merchant's money touches."""
    return AccountKey(merchant_id if kind in MERCHANT_KINDS else None, kind, currency, places)


def normal_side(kind: AccountKind) -> Side:
    """Return the side that makes the balance of such an account larger."""
    return Side.DEBIT if kind in DEBIT_KINDS else Side.CREDIT


def account_name(account: AccountKey) -> str:
    """Return the name of an account as it is shown and hashed, such as `house/fees/EUR/2`."""
    return f"{account.owner or HOUSE}/{account.kind}/{account.currency}/{account.places}"


def parse_account_name(name: str) -> AccountKey | None:
    """Return the account of a name, None if no account can have that name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    owner, kind, currency, places = match.groups()
    key = AccountKey(None if owner == HOUSE else UUID(owner), AccountKind(kind), currency, int(places))
    return key if account_name(key) == name and (key.owner is None) == (key.kind not in MERCHANT_KINDS) else None


def format_signed(minor: int, places: int) -> str:
    """Return an amount as a decimal string with every digit. A balance may be below zero."""
    return f"-{format_places(-minor, places)}" if minor < 0 else format_places(minor, places)


def balance_minor(kind: AccountKind, debits_minor: int, credits_minor: int) -> int:
    """Return the balance of an account, below zero if more was taken than put."""
    difference = credits_minor - debits_minor
    return -difference if kind in DEBIT_KINDS else difference
