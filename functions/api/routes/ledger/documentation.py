"""How the OpenAPI document describes the routes of the books."""

from __future__ import annotations

from typing import Any

from api.openapi import (
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    QUERY_MALFORMED,
    Schema,
    json_answer,
    page_problems,
    problem,
    query_parameter,
    schemas_of,
)

_ID: Schema = {"type": "string", "format": "uuid", "example": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444"}
_MERCHANT = query_parameter(
    "merchant_id", "For staff: the merchant, all of them if absent. Merchants see their own.", _ID
)
_AS_OF = query_parameter(
    "as_of",
    "As it was after all that had happened by this RFC 3339 time. Now if absent.",
    {"type": "string", "format": "date-time"},
)
_ACCOUNT = query_parameter(
    "account",
    "Only entries of this account, named as `/ledger/accounts` shows it.",
    {"type": "string", "maxLength": 100, "example": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444/available/EUR/2"},
)
_PAYMENT = query_parameter("payment_id", "Only entries of this payment.", {"type": "string", "format": "uuid"})
_FILTER_CODES = ("text_malformed", "time_invalid")


def ledger_schemas() -> dict[str, Schema]:
    """Return the schemas of answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.ledger.schemas import MODELS

    return schemas_of(MODELS)


BALANCES: dict[str, Any] = {
    "operation_id": "readBalances",
    "summary": "Read balances",
    "responses": {
        200: json_answer("BalanceList", "The balance in each currency."),
        400: QUERY_MALFORMED,
        422: problem(
            "A parameter breaks a rule.",
            "validation_failed",
            field_codes=("repeated", "required", "unknown_member", *_FILTER_CODES),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [_MERCHANT, _AS_OF]},
}

ACCOUNTS: dict[str, Any] = {
    "operation_id": "listLedgerAccounts",
    "summary": "List accounts of the books",
    "responses": {
        200: json_answer("AccountList", "A page of accounts."),
        **page_problems(*_FILTER_CODES),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [_MERCHANT, _AS_OF, *PAGE_PARAMETERS]},
}

ENTRIES: dict[str, Any] = {
    "operation_id": "listLedgerEntries",
    "summary": "List entries of the books",
    "responses": {
        200: json_answer("EntryList", "A page of entries."),
        400: QUERY_MALFORMED,
        422: problem(
            "A parameter breaks a rule.",
            *("validation_failed", "cursor_invalid", "account_malformed"),
            field_codes=(
                *("account_malformed", "cursor_invalid", "limit_invalid", "repeated", "text_too_long"),
                *("text_unstorable", "unknown_member"),
                *_FILTER_CODES,
            ),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [_MERCHANT, _ACCOUNT, _PAYMENT, _AS_OF, *PAGE_PARAMETERS],
    },
}
