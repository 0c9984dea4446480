"""What a merchant pays for a captured payment."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

from paybridge.access.domain.fees import FeeRule

# More digits than amounts, percentages and fixed amounts have together, so that only the last step rounds.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_WHOLE = Decimal(1)


def fee_minor(rule: FeeRule | None, gross_minor: int, currency: str, places: int) -> int:
    """Return the fee in minor units: the percentage, rounded half to even, and the fixed amount; at most the gross."""
    if rule is None:
        return 0
    percentage = _EXACT.divide(_EXACT.multiply(Decimal(gross_minor), Decimal(rule.percent)), Decimal(100))
    fixed = Decimal((rule.fixed or {}).get(currency, "0")).scaleb(places, _EXACT)
    return min(gross_minor, _rounded(percentage) + _rounded(fixed))


def _rounded(minor: Decimal) -> int:
    return int(minor.quantize(_WHOLE, context=_EXACT))
