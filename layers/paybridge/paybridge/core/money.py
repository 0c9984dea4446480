"""Money: decimal strings outside, integer minor units inside, never a float between.

The table below is ISO 4217 as published on 2026-01-01. A test compares it with the PyPI package ``iso4217``. The table
is here for two reasons: the domain imports the standard library only, and a new edition of the standard must be a
reviewed change of this file. It decides what new payments may be in. Stored payments stay readable whatever it says.
"""

from __future__ import annotations

import re
from functools import lru_cache

from paybridge.core.errors import InvalidInput

# Fifteen digits fit BIGINT with four digits to spare (so that sums of thousands of payments fit too) and stay below
# 2**53, the largest integer that a JavaScript or spreadsheet reader of our exports keeps exactly.
MINOR_UNITS_MAX = 999_999_999_999_999

SUMS_REMEMBERED = 1024

# Fifteen digits and a decimal point are sixteen characters; nothing longer can be a legal amount.
AMOUNT_CHARACTERS_MAX = 16

_CODES_BY_EXPONENT: dict[int, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
        "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
        "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
        "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
        "YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

# Metals, bond units, drawing rights, the test code and "no currency" have no minor unit, so no charge can be in them.
_CODES_WITHOUT_EXPONENT = "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX"

EXPONENTS: dict[str, int | None] = {
    code: exponent for exponent, codes in _CODES_BY_EXPONENT.items() for code in codes.split()
} | dict.fromkeys(_CODES_WITHOUT_EXPONENT.split())

# A stored payment has the places of its currency beside its amount. Rows from before that column do not and are read by
# this table. So an edition that changes the places of a code must first write the old ones into those rows.
#
# Withdrawn codes that had no places, as the Java platform lists them. The others had two.
_WITHDRAWN_WITHOUT_PLACES = frozenset(
    ("ADP", "BEF", "BYB", "BYR", "ESP", "GRD", "ITL", "LUF", "MGF", "PTE", "TPE", "TRL")
)
_PLACES_OF_MOST = 2

# [0-9] and not \d, which matches every script's digits.
_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?")


def exponent(currency: str) -> int:
    """Return the decimal places of an ISO 4217 currency: 0, 2, 3 or 4.

    Raises InvalidInput (`currency_unsupported`) for a code that is not in the standard, is not upper case, or has no
    minor unit.
    """
    places = EXPONENTS.get(currency)
    if places is None:
        known = currency in EXPONENTS
        reason = "has no minor unit and cannot be charged" if known else "must be an upper-case ISO 4217 code"
        raise InvalidInput("currency_unsupported", f"The currency {reason}.", "currency")
    return places


def to_minor(amount: str, currency: str) -> int:
    """Convert a decimal string to minor units, for example ``"100.50"`` RUB to 10050.

    The string has exactly the currency's places, ASCII digits, no sign, exponent, grouping, blanks or superfluous
    leading zeros, and is above zero and at most MINOR_UNITS_MAX. Raises InvalidInput with the code
    `amount_malformed`, `amount_places`, `amount_not_positive`, `amount_too_large` or `currency_unsupported`.
    """
    return places_to_minor(amount, exponent(currency))


def places_to_minor(amount: str, places: int) -> int:
    """Convert a decimal string with exactly so many places to minor units; see `to_minor` for its form.

    Raises InvalidInput with the code `amount_malformed`, `amount_places`, `amount_not_positive` or `amount_too_large`.
    """
    whole, fraction = _digits(amount, places)
    if len(fraction) != places:
        raise _invalid(
            "amount_places", f'The amount must have {places or "no"} decimal places, as in "{_example(places)}".'
        )
    minor = int(whole + fraction)
    if minor == 0:
        raise _not_positive()
    if minor > MINOR_UNITS_MAX:
        raise _too_large()
    return minor


def check_amount(amount: str) -> None:
    """Raise InvalidInput if the decimal string is an amount in no currency.

    The codes are `amount_malformed`, `amount_not_positive` and `amount_too_large`.
    """
    whole, fraction = _digits(amount, places=2)
    if int(whole + fraction) == 0:
        raise _not_positive()


def _digits(amount: str, places: int) -> tuple[str, str]:
    """Return the digits before and after the decimal point. `places` is for the example in the error."""
    if len(amount) > AMOUNT_CHARACTERS_MAX:
        raise _too_large()
    match = _DECIMAL.fullmatch(amount)
    if match is None:
        raise _invalid("amount_malformed", f'The amount must be a plain decimal string such as "{_example(places)}".')
    return match.group(1), match.group(2) or ""


def stored_places(currency: str) -> int:
    """Return the decimal places of a stored amount whose row does not say them. Raises nothing, for any code.

    Such a row is readable for ever: a withdrawn code has the places that it had, and an unknown one has two.
    """
    places = EXPONENTS.get(currency)
    if places is not None:
        return places
    return 0 if currency in _WITHDRAWN_WITHOUT_PLACES else _PLACES_OF_MOST


def format_minor(minor: int, currency: str) -> str:
    """Convert minor units to a decimal string, the inverse of to_minor; zero is allowed, for sums.

    The currency may have been withdrawn. Raises InvalidInput (`amount_not_positive`).
    """
    return format_places(minor, stored_places(currency))


# The sums of a payment are its amount and, mostly, zero.
@lru_cache(SUMS_REMEMBERED)
def format_places(minor: int, places: int) -> str:
    """Convert minor units to a decimal string with so many places. Raises InvalidInput (`amount_not_positive`)."""
    if minor < 0:
        raise _invalid("amount_not_positive", "An amount is never negative.")
    if places == 0:
        return str(minor)
    digits = str(minor).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


def _invalid(code: str, detail: str) -> InvalidInput:
    return InvalidInput(code, detail, "amount")


def _not_positive() -> InvalidInput:
    return _invalid("amount_not_positive", "The amount must be above zero.")


def _too_large() -> InvalidInput:
    return _invalid("amount_too_large", "The amount must have at most 15 digits.")


def _example(places: int) -> str:
    return f"100.{'5000'[:places]}" if places else "100"
