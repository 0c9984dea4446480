"""Validation of fields, and the answer for invalid ones."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from api.problems import Problem
from api.request.fields import validate

MARK = "4111-hostile-mark"


class Parcel(BaseModel):
    """A model with a field of each kind."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(max_length=5)]
    labels: Annotated[dict[str, str], Field(max_length=1)] = {}
    speed: Literal["slow", "fast"] = "slow"


def refusal(members: dict[str, Any]) -> Problem:
    """Return the problem that these members cause."""
    with pytest.raises(Problem) as caught:
        validate(Parcel, members)
    return caught.value


class TestValidate:
    def test_returns_the_model(self) -> None:
        assert validate(Parcel, {"name": "box"}) == Parcel(name="box")

    @pytest.mark.parametrize(
        ("members", "field", "code", "detail"),
        [
            ({}, "name", "required", "Required."),
            ({"name": 1}, "name", "string_type", "Must be a string."),
            ({"name": "x" * 6}, "name", "string_too_long", "Must have at most 5 characters."),
            ({"name": "box", "labels": []}, "labels", "dict_type", "Must be an object."),
            ({"name": "box", "labels": {"a": "", "b": ""}}, "labels", "too_long", "Must have at most 1 item."),
            ({"name": "box", "labels": {"a": 1}}, "labels.a", "string_type", "Must be a string."),
            ({"name": "box", "labels": {"1" * 9: 1}}, "labels.?", "string_type", "Must be a string."),
            ({"name": "box", "speed": MARK}, "speed", "literal_error", "Must be 'slow' or 'fast'."),
            (
                {"name": "box", "nmae": MARK},
                "nmae",
                "unknown_member",
                "Unknown field. Remove it or check its spelling.",
            ),
        ],
    )
    def test_names_the_field_and_what_to_do(self, members: dict[str, Any], field: str, code: str, detail: str) -> None:
        problem = refusal(members)
        assert (problem.status, problem.code) == (422, "validation_failed")
        [error] = problem.errors
        assert (error.field, error.code, error.detail) == (field, code, detail)

    def test_names_every_invalid_field(self) -> None:
        assert [error.field for error in refusal({"name": 1, "speed": "x", "extra": "y"}).errors] == [
            "name",
            "speed",
            "extra",
        ]

    def test_never_repeats_a_value(self) -> None:
        problem = refusal({"name": MARK, "labels": {MARK: 1}, "speed": MARK, "x": MARK})
        assert MARK not in str(problem.errors)
