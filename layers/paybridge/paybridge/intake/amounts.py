"""Amounts of messages, which may be JSON numbers: read exactly, digit by digit, and never as a float."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from paybridge.core.errors import InvalidInput
from paybridge.core.money import EXPONENTS
from paybridge.core.strict_json import JsonNumber

# More digits than an amount may have, before and after the decimal point. A longer number is not looked at: its
# exponent alone could ask for gigabytes of digits.
NUMBER_CHARACTERS_MAX = 40
POWER_MAX = 30

_EXACT = Context(prec=2 * (NUMBER_CHARACTERS_MAX + POWER_MAX))


def amount_text(amount: Any, currency: Any) -> Any:
    """Return a JSON number as the decimal string that the rules for amounts read; return anything else unchanged.

    A number has no trailing zeros that mean anything: 49.5 EUR is "49.50" and 1e2 JPY is "100". Digits that the
    currency does not have stay, and the rules refuse them. Raises InvalidInput (`amount_too_large`,
    `amount_malformed`) for a number that is too long to be an amount.
    """
    if not isinstance(amount, JsonNumber):
        return amount
    if len(amount.text) > NUMBER_CHARACTERS_MAX:
        raise InvalidInput("amount_malformed", f"Send at most {NUMBER_CHARACTERS_MAX} characters.", "amount")
    number = Decimal(amount.text)
    if number and number.adjusted() > POWER_MAX:
        raise InvalidInput("amount_too_large", "The amount must have at most 15 digits.", "amount")
    if number and number.adjusted() < -POWER_MAX:
        raise InvalidInput("amount_malformed", "The amount is too close to zero.", "amount")
    places = (EXPONENTS.get(currency) if isinstance(currency, str) else None) or 0
    # Zero is zero with any exponent.
    shortest = number.normalize(_EXACT) if number else Decimal(0)
    exponent = shortest.as_tuple().exponent
    assert isinstance(exponent, int), "JSON has no NaN and no infinity"
    return format(shortest.quantize(Decimal(1).scaleb(min(-places, exponent)), context=_EXACT), "f")
