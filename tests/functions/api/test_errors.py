"""The table of errors and their problems."""

from __future__ import annotations

import pytest
from starlette.exceptions import HTTPException

from api.errors import to_problem
from api.problems import Problem
from paybridge.core.errors import (
    BrokerUnavailable,
    DatabaseLoginRefused,
    DatabaseUnavailable,
    InvalidInput,
    LockTimeout,
)


class TestToProblem:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (Problem(409, "busy", "Retry."), 409, "busy"),
            (InvalidInput("amount_places", "Two places.", "amount"), 422, "amount_places"),
            (HTTPException(404), 404, "not_found"),
            (HTTPException(405), 405, "method_not_allowed"),
            (HTTPException(400), 400, "http_error"),
            (DatabaseUnavailable(), 503, "service_unavailable"),
            (DatabaseLoginRefused(), 503, "service_unavailable"),
            (LockTimeout(), 503, "service_unavailable"),
            (BrokerUnavailable(), 500, "internal_error"),
            (RuntimeError("secret"), 500, "internal_error"),
        ],
    )
    def test_maps_an_error_to_its_problem(self, error: Exception, status: int, code: str) -> None:
        problem = to_problem(error)
        assert (problem.status, problem.code) == (status, code)
        assert "secret" not in problem.detail

    def test_names_the_field_of_an_invalid_input(self) -> None:
        [field_error] = to_problem(InvalidInput("amount_places", "Two places.", "amount")).errors
        assert (field_error.field, field_error.code, field_error.detail) == ("amount", "amount_places", "Two places.")

    def test_an_input_without_a_field_has_no_field_errors(self) -> None:
        assert list(to_problem(InvalidInput("cursor_invalid", "Start again.")).errors) == []

    def test_unavailable_says_when_to_retry(self) -> None:
        assert to_problem(DatabaseUnavailable()).headers == {"Retry-After": "1"}

    def test_method_not_allowed_keeps_the_allow_header(self) -> None:
        assert to_problem(HTTPException(405, headers={"Allow": "GET"})).headers == {"Allow": "GET"}
