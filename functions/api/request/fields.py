"""Validate the fields of a request with a Pydantic model, and describe the invalid ones to the caller."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.problems import FieldError, Problem, validation_failed

Model = TypeVar("Model", bound=BaseModel)

# A name that is not one of ours comes from the caller: show only a short one without a run of digits.
_HARMLESS_NAME = re.compile(r"(?!.*[0-9]{9})[A-Za-z_][A-Za-z0-9_\-]{0,39}")
# FastAPI puts the place first. Pydantic marks a bad key of an object with [key].
_NOT_NAMES = frozenset({"body", "query", "path", "header", "[key]"})

# Pydantic's name of a rule, and the code and the text that callers read instead. Any other rule keeps Pydantic's.
_RULES = {
    "extra_forbidden": ("unknown_member", "Unknown field. Remove it or check its spelling."),
    "missing": ("required", "Required."),
    "string_type": ("string_type", "Must be a string."),
    "dict_type": ("dict_type", "Must be an object."),
}
# Pydantic names Python's type first: "Dictionary should have at most 50 items after validation, not 51".
_SHOULD = re.compile(r"^\w+ should ")
_AFTER_VALIDATION = re.compile(r" after validation.*")


def validate(model: type[Model], members: Mapping[str, Any]) -> Model:
    """Return the model of these members. Raises Problem (422), which names every invalid field and no value."""
    try:
        return model.model_validate(members)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False, include_context=False, include_input=False)) from None


def invalid_fields(errors: Sequence[Any]) -> Problem:
    """Return a 422 that names every field and its rule, from Pydantic's list of errors."""
    return validation_failed([_field_error(error) for error in errors])


def _field_error(error: Mapping[str, Any]) -> FieldError:
    code, detail = _RULES.get(error["type"]) or (error["type"], _in_our_words(error["msg"]))
    return FieldError(_path(error["loc"]), code, detail)


def _in_our_words(message: str) -> str:
    sentence = _AFTER_VALIDATION.sub("", _SHOULD.sub("Must ", message))
    return f"{sentence.rstrip('.')}."


def _path(location: Sequence[str | int]) -> str:
    names = [str(name) for name in location if name not in _NOT_NAMES]
    return ".".join(name if _HARMLESS_NAME.fullmatch(name) else "?" for name in names)
