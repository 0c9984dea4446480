"""Decline codes of gateways, in any spelling, as ours."""

from __future__ import annotations

import re

CARD_DECLINED = "card_declined"
AUTHORIZATION_EXPIRED = "authorization_expired"
CAPTURE_DECLINED = "capture_declined"
VOID_DECLINED = "void_declined"
REFUND_DECLINED = "refund_declined"
REFUND_REVERSED = "refund_reversed"
GATEWAY_CODE_LENGTH_MAX = 64

# Our code, and what gateways say for it. Case, blanks and punctuation make no difference. Numbers are of ISO 8583,
# which card networks use.
_SPELLINGS: dict[str, str] = {
    CARD_DECLINED: "card_declined declined decline generic_decline refused payment_declined transaction_declined",
    "insufficient_funds": "insufficient_funds insufficient_fund not_sufficient_funds no_sufficient_funds nsf 51 116",
    "do_not_honor": "do_not_honor do_not_honour dont_honor dont_honour honor_denied 05",
    "expired_card": "expired_card card_expired expired expired_or_canceled_card 54 101",
    "invalid_card": (
        "invalid_card invalid_number incorrect_number invalid_card_number incorrect_card_number card_number_invalid"
        " invalid_pan no_such_card 14 111"
    ),
    "incorrect_cvc": (
        "incorrect_cvc invalid_cvc incorrect_cvv invalid_cvv cvc_mismatch cvv_mismatch cvc_declined cvv_declined"
        " security_code_invalid incorrect_security_code 82 n7"
    ),
    "incorrect_pin": "incorrect_pin invalid_pin wrong_pin pin_incorrect 55 117",
    "invalid_expiry": (
        "invalid_expiry invalid_expiry_date invalid_expiry_month invalid_expiry_year invalid_expiration_date"
        " incorrect_expiry"
    ),
    "lost_card": "lost_card card_lost lost_or_stolen_card 41",
    "stolen_card": "stolen_card card_stolen 43",
    "pickup_card": "pickup_card pick_up_card pick_up 04 07",
    "restricted_card": "restricted_card card_restricted 36 62",
    "card_not_supported": (
        "card_not_supported unsupported_card card_type_not_supported not_permitted transaction_not_permitted"
        " transaction_not_allowed not_permitted_to_cardholder 57 58"
    ),
    "currency_not_supported": "currency_not_supported unsupported_currency",
    "limit_exceeded": (
        "limit_exceeded exceeds_limit amount_limit_exceeded withdrawal_limit_exceeded exceeds_withdrawal_limit"
        " card_velocity_exceeded velocity_exceeded withdrawal_count_limit_exceeded over_limit 61 65"
    ),
    "authentication_required": (
        "authentication_required authentication_failed sca_required soft_decline 3ds_required three_d_secure_required"
        " payment_intent_authentication_failure 1a"
    ),
    "issuer_unavailable": "issuer_unavailable issuer_not_available issuer_inoperative 91",
    "fraud_blocked": "fraud_blocked fraud fraudulent suspected_fraud fraud_suspected blocked_by_fraud_rules 59",
    "invalid_payment_method": "invalid_payment_method payment_method_invalid unknown_payment_method",
    AUTHORIZATION_EXPIRED: (
        "authorization_expired authorisation_expired auth_expired expired_authorization authorization_has_expired"
        " capture_window_expired"
    ),
    CAPTURE_DECLINED: "capture_declined capture_failed capture_refused capture_rejected",
    VOID_DECLINED: "void_declined void_failed void_refused void_rejected cancel_failed",
    REFUND_DECLINED: "refund_declined refund_failed refund_refused refund_rejected",
    REFUND_REVERSED: "refund_reversed refund_taken_back refund_returned",
}

# Words in a refusal that speak of the request and not of the card: an earlier one may be at work.
_UNDER_WAY_WORDS = ("already", "duplicate", "idempoten", "inprogress", "inflight", "underway", "conflict")

# A refusal with this word speaks of what is left of the money. An earlier request for the same may have taken it.
_EXCESS_WORD = "exceed"

_PUNCTUATION = re.compile(r"[^a-z0-9]")
_UNSAFE = re.compile(r"[^ -~]")


def _folded(code: str) -> str:
    return _PUNCTUATION.sub("", code.lower())


# A number of one digit is written with and without its zero.
_OURS = {_folded(spelling): ours for ours, spellings in _SPELLINGS.items() for spelling in spellings.split()} | {
    spelling.removeprefix("0"): ours
    for ours, spellings in _SPELLINGS.items()
    for spelling in spellings.split()
    if spelling.isdigit() and spelling.startswith("0")
}
FAILURE_CODES = frozenset(_SPELLINGS)


def is_decline_code(code: str) -> bool:
    """Tell whether the code is a spelling of one of ours."""
    return _folded(code[:GATEWAY_CODE_LENGTH_MAX]) in _OURS


def is_under_way_code(code: str) -> bool:
    """Tell whether the code, or sentence, of a refusal speaks of an earlier request that may be at work."""
    folded = _folded(code)
    return folded not in _OURS and any(word in folded for word in _UNDER_WAY_WORDS)


def is_excess_code(code: str) -> bool:
    """Tell whether the code, or sentence, of a refusal speaks of an amount beyond what is left."""
    folded = _folded(code)
    return folded not in _OURS and _EXCESS_WORD in folded


def failure_code_of(code: str | None, otherwise: str = CARD_DECLINED) -> str:
    """Return our code for a gateway's, of whatever spelling, and `otherwise` for one that is unknown or missing."""
    return _OURS.get(_folded(code[:GATEWAY_CODE_LENGTH_MAX]), otherwise) if code else otherwise


def shown_code(code: str | None) -> str | None:
    """Return the gateway's own code as it can be stored and shown: printable ASCII, at most 64 characters.

    Other characters become question marks. None if there is nothing to show.
    """
    text = _UNSAFE.sub("?", (code or "")[:GATEWAY_CODE_LENGTH_MAX]).strip()
    return text or None


def failure_message_of(failure_code: str) -> str:
    """Return the sentence that a merchant reads for one of our codes."""
    return failure_code.replace("_", " ").capitalize() + "."
