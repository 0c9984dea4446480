"""Problem details (RFC 9457): the one shape of every error answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from paybridge.core.fields import FieldError

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:paybridge:problem:"
RETRY_AFTER_SECONDS = "1"
# A body may break a rule in tens of thousands of places. An answer that names all would be too large to send.
FIELD_ERRORS_MAX = 100


class Problem(Exception):
    """A 4xx or 5xx answer. It never repeats the input, which may hold card data that must not reach a log.

    `code` is stable. `detail` says what happened and what to do.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.extensions = extensions


class ProblemView(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(title="Problem", defer_build=True, json_schema_extra={"additionalProperties": True})

    type: Annotated[str, Field(examples=["urn:paybridge:problem:amount_places"])]
    title: str
    status: int
    detail: Annotated[str, Field(description="What happened and what to do, for people. The text may change.")]
    code: Annotated[str, Field(description="The stable name of the error, for programs.", examples=["amount_places"])]
    errors: Annotated[list[FieldError], Field(description="The invalid fields. Empty for other errors.")]
    request_id: Annotated[str, Field(description="Quote this id to support. It equals X-Correlation-Id.")]


def not_found() -> Problem:
    """Return the 404 for a path that no route serves."""
    return Problem(404, "not_found", "Nothing is served at this path. Check the URL.")


def unavailable() -> Problem:
    """Return the 503 for a dependency that is down, with the seconds after which to retry."""
    detail = "The service is temporarily unavailable. Retry later. Repeat a POST with the same Idempotency-Key."
    return Problem(503, "service_unavailable", detail, headers={"Retry-After": RETRY_AFTER_SECONDS})


def validation_failed(errors: Sequence[FieldError]) -> Problem:
    """Return the 422 that names every field that breaks a rule, of many the first FIELD_ERRORS_MAX."""
    detail = "The request has invalid fields. Correct the fields listed in `errors`."
    if len(errors) > FIELD_ERRORS_MAX:
        detail += f" The first {FIELD_ERRORS_MAX} of {len(errors)} are listed."
    return Problem(422, "validation_failed", detail, errors=errors[:FIELD_ERRORS_MAX])


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return the response for a problem. Support asks merchants for `request_id`."""
    members: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.code,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "errors": [{"field": error.field, "code": error.code, "detail": error.detail} for error in problem.errors],
        "request_id": request_id,
        **(problem.extensions or {}),
    }
    return Response(
        orjson.dumps(members),
        status_code=problem.status,
        headers=dict(problem.headers or {}),
        media_type=PROBLEM_MEDIA_TYPE,
    )
