"""How the OpenAPI document describes requests with a body or an idempotency key, and waits."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from api.openapi import (
    REF,
    RETRY_AFTER,
    Responses,
    Schema,
    header_parameter,
    problem,
    text_header,
    without_defaults,
)
from api.request.headers import KEY_PATTERN, WAIT_SECONDS_MAX
from paybridge.core.strict_json import BODY_BYTES_MAX
from paybridge.payments.idempotency import KEY_CHARACTERS_MAX

# start.js of the page replaces this key by a new one for each try.
EXAMPLE_KEY = "5f0c1a52-3d8e-4f1b-9a55-2f6f0f7f8a10"

REPLAYED = {
    "Idempotency-Replayed": text_header(
        "`true` if this is the stored answer of an earlier request with the same key.", "true"
    )
}

DESCRIBED = {
    "Link": text_header(
        "Where idempotency keys are described. With the codes `idempotency_key_…` only.",
        '</docs>; rel="describedby"; type="text/html"',
    )
}

_UNREADABLE_CODES = (
    "json_invalid",
    "json_duplicate_key",
    "json_too_deep",
    "json_text_unstorable",
    "request_malformed",
)


def unreadable(*codes: str, headers: dict[str, Any] | None = None) -> Responses:
    """Describe the answers to a body that cannot be read; `codes` are those of the headers beside it."""
    codes = ("header_repeated", *codes, *_UNREADABLE_CODES)
    return {
        400: problem("The request cannot be parsed.", *codes, headers=headers),
        413: problem(f"The body has more than {BODY_BYTES_MAX} bytes.", "body_too_large"),
        415: problem("The body is not JSON in UTF-8.", "content_type_unsupported", "content_encoding_unsupported"),
    }


UNREADABLE = unreadable("idempotency_key_missing", "idempotency_key_invalid", headers=DESCRIBED)
# For the answer 409, with what else may be in the way.
KEY_CONFLICTS = ("idempotency_key_in_flight", "idempotency_key_expired")
_KEY_CONFLICT = "a request with this key is in progress, or its answer is older than 24 hours and was deleted."


AMOUNT_CODES = ("amount_malformed", "amount_places", "amount_not_positive", "amount_too_large")
# Of a part of a payment, whose gateway is known: it may be unable to express the amount.
PART_CODES = (*AMOUNT_CODES, "amount_not_supported")


def request_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of a request body, which FastAPI does not see."""
    schema = model.model_json_schema(ref_template=REF)
    members = {name: without_defaults(member) for name, member in schema["properties"].items()}
    return {**schema, "properties": members}


def optional_body(model: str, example: dict[str, Any]) -> dict[str, Any]:
    """Describe a request body that may be left out."""
    schema = {"$ref": REF.format(model=model)}
    return {"required": False, "content": {"application/json": {"schema": schema, "example": example}}}


def conflict(description: str, *codes: str, location: dict[str, Any]) -> dict[str, Any]:
    """Describe the answer 409 of a request with a key, which may have these codes besides those of the key."""
    text = f"{description} Or {_KEY_CONFLICT}" if description else _KEY_CONFLICT.capitalize()
    return problem(text, *codes, *KEY_CONFLICTS, headers=RETRY_AFTER | DESCRIBED | location)


def key_parameter(what: str, made: str) -> dict[str, Any]:
    """Describe `Idempotency-Key` of a request that makes `what`; `made` is what a second request would make."""
    return header_parameter(
        "Idempotency-Key",
        f"A new value for each {what}, for example a UUID, bare or in double quotes (RFC 8941). Only a quoted key may "
        f"hold a comma. A request with the same key and the same members never makes {made}, whatever their order, "
        "white space and escapes; a member that is null equals one that is left out. For 24 hours it gets the same "
        "answer, then 409 `idempotency_key_expired`. A request that is answered 4xx without effect does not use its "
        "key up.",
        required=True,
        schema={
            "type": "string",
            "minLength": 1,
            "maxLength": KEY_CHARACTERS_MAX,
            "pattern": KEY_PATTERN,
            "example": EXAMPLE_KEY,
        },
    )


def wait_parameter(noun: str) -> dict[str, Any]:
    """Describe `Prefer` of a request that reads a `noun`."""
    return header_parameter(
        "Prefer",
        f"`wait=N` (RFC 7240): answer when the {noun} has settled, but after at most N seconds. N is at most "
        f"{WAIT_SECONDS_MAX}. The answer comes at once if too many requests are waiting.",
        required=False,
        schema={"type": "string", "example": "wait=10"},
    )


WAITED = {"Preference-Applied": text_header("The granted wait. Absent if none was.", "wait=10")}
