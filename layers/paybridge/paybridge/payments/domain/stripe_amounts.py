"""Amounts in Stripe's own minor units, which are not always those of ISO 4217.

Two currencies without decimals, ISK and UGX, are sent with two of them, always 00. MGA, which has two in ISO, is sent
without any. Of three decimals the last one must be 0. What Stripe cannot express is refused and never rounded. HUF and
TWD are as in ISO here: Stripe rounds them in payouts alone.
https://docs.stripe.com/currencies
"""

from __future__ import annotations

from paybridge.core.errors import PaybridgeError

_WITHOUT_DECIMALS = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
)
_THREE_DECIMALS = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
# They have lost their decimals since, and Stripe keeps two for old integrations.
_ALWAYS_00 = frozenset(("ISK", "UGX"))
# Stripe has no currency with four decimals, and not these with three.
_UNSUPPORTED = frozenset(("CLF", "IQD", "LYD", "UYW"))


class AmountRefused(PaybridgeError):
    """Stripe cannot express the amount; the message says why, and `failure_code` is that of the payment's failure."""

    def __init__(self, failure_code: str, message: str) -> None:
        super().__init__(message)
        self.failure_code = failure_code


def to_stripe(amount_minor: int, currency: str, places: int) -> int:
    """Convert minor units of a currency with so many decimal places to Stripe's.

    Raises AmountRefused for a currency that Stripe does not have, or an amount that would have to be rounded.
    """
    ours: int = 10**places
    amount, remainder = divmod(amount_minor * _units(currency), ours)
    if remainder or amount % _step(currency):
        raise AmountRefused("amount_not_supported", f"In {currency}, the gateway takes {_taken(currency)} only.")
    return amount


def from_stripe(amount: int, currency: str, places: int) -> int | None:
    """Convert Stripe's amount to minor units of a currency with so many decimal places.

    Return None if it is no whole number of them. Raises AmountRefused for a currency that Stripe does not have.
    """
    ours: int = 10**places
    minor, remainder = divmod(amount * ours, _units(currency))
    return None if remainder else minor


def _units(currency: str) -> int:
    """Return how many of Stripe's minor units make one of the currency."""
    if currency in _UNSUPPORTED:
        raise AmountRefused("currency_not_supported", f"The gateway takes no payments in {currency}.")
    if currency in _WITHOUT_DECIMALS:
        return 1
    return 1000 if currency in _THREE_DECIMALS else 100


def _step(currency: str) -> int:
    """Return what Stripe's amounts in the currency must be a multiple of."""
    if currency in _ALWAYS_00:
        return 100
    return 10 if currency in _THREE_DECIMALS else 1


def _taken(currency: str) -> str:
    if currency in _WITHOUT_DECIMALS | _ALWAYS_00:
        return "whole units"
    return "three decimals of which the last is 0" if currency in _THREE_DECIMALS else "two decimals"
