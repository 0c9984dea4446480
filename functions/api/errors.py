"""The table of errors and the problems that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.context import request_context
from api.problems import FieldError, Problem, not_found, problem_response, unavailable
from api.request.fields import invalid_parameters
from paybridge.core.errors import DatabaseUnavailable, InvalidInput, LockTimeout


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of the table with its problem. The outermost middleware answers the others."""
    for error_type in _PROBLEMS:
        app.add_exception_handler(error_type, _answer)


def to_problem(error: Exception) -> Problem:
    """Return the problem that answers an error. An unexpected error is a 500 that does not say what failed."""
    for error_type in type(error).__mro__:
        if error_type in _PROBLEMS:
            return _PROBLEMS[error_type](error)
    detail = "Something went wrong on our side. Retry the request. Repeat a POST with the same Idempotency-Key."
    return Problem(500, "internal_error", detail)


async def _answer(request: Request, error: Exception) -> Response:
    return problem_response(to_problem(error), request_context(request).correlation_id)


def _same(problem: Problem) -> Problem:
    return problem


def _invalid_input(error: InvalidInput) -> Problem:
    fields = [FieldError(error.field, error.code, error.detail)] if error.field is not None else []
    return Problem(422, error.code, error.detail, errors=fields)


def _invalid_parameters(error: RequestValidationError) -> Problem:
    return invalid_parameters(error.errors())


def _unrouted(error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return not_found()
        case 405:
            detail = "Method not allowed. The Allow header lists the methods of this path."
            return Problem(405, "method_not_allowed", detail, headers=error.headers)
        case status:
            return Problem(status, "http_error", "The request cannot be answered.", headers=error.headers)


def _try_again(_: Exception) -> Problem:
    return unavailable()


_PROBLEMS: Mapping[type[Any], Callable[[Any], Problem]] = {
    Problem: _same,
    InvalidInput: _invalid_input,
    RequestValidationError: _invalid_parameters,
    HTTPException: _unrouted,
    DatabaseUnavailable: _try_again,
    LockTimeout: _try_again,
}
