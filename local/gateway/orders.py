"""Read a request for an operation into the record that the log would hold of it."""

from __future__ import annotations

from typing import Any

from local.gateway.log import Record

AMOUNT_MINOR_MAX = 2**63 - 1
TEXT_LENGTH_MAX = 255

_COMMON = frozenset({"reference", "operation_id", "amount_minor", "currency"})
_FIRST = _COMMON | {"payment_method"}
_LATER = _COMMON | {"target_id"}


class BadRequest(Exception):
    """The gateway does not understand the request."""


def read_order(kind: str, idempotency_key: str, body: Any) -> Record:
    """Return the record without its result. Raises BadRequest.

    A charge and an authorization have a currency and may have a payment method. Later operations may name the charge or
    authorization that they are about as `target_id`, and their currency may be left out.
    """
    is_first = kind in ("charge", "authorization")
    _require_object(body, _FIRST if is_first else _LATER)
    order: Record = {
        "reference": _text("reference", body.get("reference")),
        "operation_id": _optional_text(body, "operation_id"),
        "kind": kind,
        "amount_minor": _amount_minor(body.get("amount_minor")),
        "currency": _currency(body.get("currency"), is_first),
        "idempotency_key": _text("Idempotency-Key", idempotency_key),
    }
    name = "payment_method" if is_first else "target_id"
    order[name] = _optional_text(body, name)
    return order


def _amount_minor(value: Any) -> int:
    if type(value) is not int or not 0 < value <= AMOUNT_MINOR_MAX:
        raise BadRequest("amount_minor must be a positive whole number")
    return value


def _currency(value: Any, is_required: bool) -> str | None:
    if value is None and not is_required:
        return None
    if not isinstance(value, str) or not (len(value) == 3 and value.isascii() and value.isupper()):
        raise BadRequest("currency must be three capital letters")
    return value


def _require_object(body: Any, known: frozenset[str]) -> None:
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if unknown := body.keys() - known:
        raise BadRequest(f"unknown field {min(unknown)!r}")


def _optional_text(body: dict[str, Any], name: str) -> str | None:
    return None if body.get(name) is None else _text(name, body[name])


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX:
        raise BadRequest(f"{name} must be a text of 1 to {TEXT_LENGTH_MAX} characters")
    return value
