"""The table of errors and the problems that answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from api.archived import archived_or, may_be_archived
from api.context import public_path, request_context
from api.problems import Problem, not_found, problem_response, unavailable
from api.request.fields import invalid_parameters
from paybridge.core.errors import (
    DatabaseUnavailable,
    InvalidInput,
    KeysUnavailable,
    LimiterUnavailable,
    LockTimeout,
    SecretUnavailable,
    Unavailable,
)
from paybridge.core.fields import FieldError

# Problems of an idempotency key lead to the documentation of keys, as draft-ietf-httpapi-idempotency-key-header asks.
KEY_CODES_PREFIX = "idempotency_key_"


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of the table with its problem. The outermost middleware answers the others."""
    for error_type in _PROBLEMS:
        app.add_exception_handler(error_type, _answer)
    app.add_exception_handler(HTTPException, _answer_unrouted)


def to_problem(error: Exception) -> Problem:
    """Return the problem that answers an error. An unexpected error is a 500 that does not say what failed."""
    for error_type in type(error).__mro__:
        if error_type in _PROBLEMS:
            return _PROBLEMS[error_type](error)
    detail = "Something went wrong on our side. Retry the request. Repeat a POST with the same Idempotency-Key."
    return Problem(500, "internal_error", detail)


async def _answer(request: Request, error: Exception) -> Response:
    problem = _with_archive(request, to_problem(error))
    response = problem_response(problem, request_context(request).correlation_id)
    if problem.code.startswith(KEY_CODES_PREFIX):
        response.headers["Link"] = f'<{public_path(request, "/docs")}>; rel="describedby"; type="text/html"'
    return response


def _with_archive(request: Request, problem: Problem) -> Problem:
    try:
        return archived_or(request, problem) if may_be_archived(problem) else problem
    except Unavailable as error:
        # Whether it is archived is not known, so it is not known to be missing either.
        return to_problem(error)


async def _answer_unrouted(request: Request, error: Exception) -> Response:
    # Starlette raises 405 with the methods of the first route of the path. A path may have several.
    if not isinstance(error, HTTPException) or error.status_code != 405:
        return await _answer(request, error)
    allow = {"Allow": ", ".join(allowed_methods(request))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    return await _answer(request, HTTPException(405, headers=allow))


def allowed_methods(request: Request) -> list[str]:
    """Return the methods of the path of a request. HEAD is wherever GET is, and OPTIONS everywhere.

    A path such as `/dead-letters/redrive` also fits `/dead-letters/{dead_letter_id}`. The first template is the path's.
    """
    fitting = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {"OPTIONS"}.union(*(route.methods for route in fitting if route.path == fitting[0].path))
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


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
    KeysUnavailable: _try_again,
    LimiterUnavailable: _try_again,
    LockTimeout: _try_again,
    SecretUnavailable: _try_again,
}
