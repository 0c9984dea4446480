"""Problem details (RFC 9457): the one shape of every error that the API answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.responses import Response

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:paybridge:problem:"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One member of the input that breaks a rule; `field` is its path, for example `metadata.order_id`."""

    field: str
    code: str
    detail: str


class Problem(Exception):
    """An answer in the 4xx or 5xx range. It never repeats the input, which may hold what must not be logged."""

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


def problem_response(problem: Problem, request_id: str) -> Response:
    """The response for a problem; `request_id` is what support asks for."""
    members: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.code,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "errors": [{"field": e.field, "code": e.code, "detail": e.detail} for e in problem.errors],
        "request_id": request_id,
        **(problem.extensions or {}),
    }
    return Response(
        orjson.dumps(members),
        status_code=problem.status,
        headers=dict(problem.headers or {}),
        media_type=PROBLEM_MEDIA_TYPE,
    )
