"""The front's own answers, in the shape that the API gives its errors (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from local.bridge.http_events import HttpResponse

# The codes by which the API names the same things.
_CODES = {
    400: "request_malformed",
    404: "not_found",
    413: "body_too_large",
    422: "validation_failed",
    431: "headers_too_large",
    500: "internal_error",
    503: "service_unavailable",
}


class ProblemError(Exception):
    """A request that the front answers itself. Its status must be in `_CODES`."""

    def __init__(self, status: int, detail: str, *, retry_after_seconds: int = 1, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        # The member of the body that is wrong.
        self.field = field
        # Sent with 503 only.
        self.retry_after_seconds = retry_after_seconds


def problem_response(problem: ProblemError, request_id: str) -> HttpResponse:
    """Return the answer to the request."""
    code = _CODES[problem.status]
    body = {
        "type": f"urn:paybridge:problem:{code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "code": code,
        "errors": [{"field": problem.field, "code": code, "detail": problem.detail}] if problem.field else [],
        "request_id": request_id,
    }
    headers = b"content-type: application/problem+json\r\n"
    if problem.status == 503:
        headers += b"retry-after: %d\r\n" % problem.retry_after_seconds
    return HttpResponse(problem.status, headers, orjson.dumps(body))
