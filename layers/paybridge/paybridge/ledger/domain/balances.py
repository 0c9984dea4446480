"""Balances: what accounts held, now or at a moment, and what that means for a merchant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from paybridge.ledger.domain.accounts import (
    AccountKey,
    AccountKind,
    account_name,
    balance_minor,
    format_signed,
    normal_side,
)

_SHOWN = (AccountKind.PENDING, AccountKind.AVAILABLE, AccountKind.RESERVED)


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """An account and what it was debited and credited in all, in minor units. `number` is its id within its book."""

    number: int
    account: AccountKey
    debits_minor: int
    credits_minor: int

    @property
    def minor(self) -> int:
        """Return the balance on the side that the account has it."""
        return balance_minor(self.account.kind, self.debits_minor, self.credits_minor)


@dataclass(frozen=True, slots=True)
class CurrencyBalance:
    """What a merchant has in one currency: decimal strings with every digit. One of them may be below zero."""

    currency: str
    pending: str
    available: str
    reserved: str

    def view(self) -> dict[str, str]:
        """Return the balance as answers show it, JSON-ready."""
        return {
            "currency": self.currency,
            "pending": self.pending,
            "available": self.available,
            "reserved": self.reserved,
        }


def account_view(balance: AccountBalance) -> dict[str, Any]:
    """Return an account as answers show it, JSON-ready."""
    account = balance.account
    return {
        "account": account_name(account),
        "merchant_id": None if account.owner is None else str(account.owner),
        "kind": str(account.kind),
        "currency": account.currency,
        "normal_side": str(normal_side(account.kind)),
        "debits": format_signed(balance.debits_minor, account.places),
        "credits": format_signed(balance.credits_minor, account.places),
        "balance": format_signed(balance.minor, account.places),
    }


def by_currency(accounts: Iterable[AccountBalance]) -> list[CurrencyBalance]:
    """Return a merchant's balance in each currency, in their order. Nothing is added up across currencies."""
    found: dict[str, list[AccountBalance]] = {}
    for each in accounts:
        found.setdefault(each.account.currency, []).append(each)
    return [_in_currency(currency, found[currency]) for currency in sorted(found)]


def _in_currency(currency: str, accounts: list[AccountBalance]) -> CurrencyBalance:
    # A currency that has changed its decimal places has accounts of both. The larger number holds every digit.
    places = max(each.account.places for each in accounts)
    sums = dict.fromkeys(_SHOWN, 0)
    for each in accounts:
        sums[each.account.kind] += each.minor * 10 ** (places - each.account.places)
    pending, available, reserved = (format_signed(sums[kind], places) for kind in _SHOWN)
    return CurrencyBalance(currency, pending, available, reserved)
