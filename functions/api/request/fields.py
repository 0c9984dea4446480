"""Describe the invalid parameters of a request to the caller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.problems import Problem, validation_failed
from paybridge.core.fields import field_errors

# FastAPI puts the place first.
_PLACES = frozenset({"body", "query", "path", "header"})


def invalid_parameters(errors: Sequence[Any]) -> Problem:
    """Return a 422 that names every invalid parameter and its rule, from FastAPI's list of errors."""
    placed = ({**error, "loc": _without_place(error["loc"])} for error in errors)
    return validation_failed(field_errors(placed))


def _without_place(location: tuple[Any, ...]) -> tuple[Any, ...]:
    return location[1:] if location and location[0] in _PLACES else location
