"""From every way of failing to a problem: what callers see of errors, and what the log does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.problems import FieldError, Problem, problem_response
from paybridge.core.errors import DatabaseUnavailable, InvalidInput, LockTimeout

RETRY_AFTER_SECONDS: Final = "1"

# A name that is not one of ours comes from the caller: only a short one without a run of digits is shown.
_HARMLESS_NAME: Final = re.compile(r"(?!.*[0-9]{9})[A-Za-z_][A-Za-z0-9_\-]{0,39}")
_HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_HTTP_DETAILS: Final = {404: "There is nothing at this path.", 405: "This path does not know this method."}


def add_error_handlers(app: FastAPI) -> None:
    """Makes every expected error of the app a problem; what is unexpected is left to the outermost middleware."""
    app.add_exception_handler(Problem, _on_error)
    app.add_exception_handler(InvalidInput, _on_error)
    app.add_exception_handler(RequestValidationError, _on_error)
    app.add_exception_handler(HTTPException, _on_error)
    app.add_exception_handler(DatabaseUnavailable, _on_error)
    app.add_exception_handler(LockTimeout, _on_error)


def problem_of(error: Exception) -> Problem:
    """The problem that tells the caller of this error; anything unexpected is a 500 without a reason."""
    match error:
        case Problem():
            return error
        case InvalidInput():
            return _from_invalid_input(error)
        case RequestValidationError() | ValidationError():
            return invalid_members(error.errors())
        case HTTPException():
            return _from_http(error)
        case DatabaseUnavailable() | LockTimeout():
            return _unavailable()
        case _:
            return Problem(500, "internal_error", "Something went wrong on our side. The request may be repeated.")


def invalid_members(errors: Sequence[Any]) -> Problem:
    """A 422 that names every member and its rule, from Pydantic's list of errors."""
    fields = [FieldError(_path(error["loc"]), _code(error["type"]), error["msg"]) for error in errors]
    return Problem(422, "validation_failed", "Some members of the request break a rule; see errors.", errors=fields)


async def _on_error(request: Request, error: Exception) -> Response:
    return problem_response(problem_of(error), context_of(request).correlation_id)


def _from_invalid_input(error: InvalidInput) -> Problem:
    fields = [FieldError(error.field, error.code, error.detail)] if error.field is not None else []
    return Problem(422, error.code, error.detail, errors=fields)


def _from_http(error: HTTPException) -> Problem:
    detail = _HTTP_DETAILS.get(error.status_code, "The request cannot be answered.")
    return Problem(error.status_code, _HTTP_CODES.get(error.status_code, "http_error"), detail, headers=error.headers)


def _unavailable() -> Problem:
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = "The service is not available at the moment. Repeat the request with the same Idempotency-Key."
    return Problem(503, "service_unavailable", detail, headers=headers)


def _path(location: Sequence[str | int]) -> str:
    # FastAPI puts the place (body, query, path, header) first; Pydantic marks a bad key of an object with [key].
    names = [str(name) for name in location if name not in ("body", "query", "path", "header", "[key]")]
    return ".".join(name if _HARMLESS_NAME.fullmatch(name) else "?" for name in names)


def _code(pydantic_type: str) -> str:
    return {"extra_forbidden": "unknown_member", "missing": "required"}.get(pydantic_type, pydantic_type)
