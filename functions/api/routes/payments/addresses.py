"""Where payments are found."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Path

from api.problems import Problem
from api.request.parameters import parse_id

PREFIX = "/api/v1/payments"

# Text and not UUID: an id that cannot be parsed is a 404 like any unknown id.
PaymentId = Annotated[str, Path(description="The payment's id.", json_schema_extra={"format": "uuid"})]


def payment_id_of(text: str) -> UUID:
    """Return the id in a path. Raises Problem (404) for what cannot be the id of a payment."""
    id_ = parse_id(text)
    if id_ is None:
        raise payment_not_found()
    return id_


def payment_not_found() -> Problem:
    """Return the 404 for a payment that the merchant does not have."""
    return Problem(404, "payment_not_found", "No such payment. Check the id and the API key.")
