"""Validate the members of an object with a Pydantic model, and describe the invalid ones to their sender."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from paybridge.core.errors import PaybridgeError
from paybridge.core.field_rules import rule_for

Model = TypeVar("Model", bound=BaseModel)

# A name that is not one of ours comes from the caller: show only a short one without a run of digits.
_HARMLESS_NAME = re.compile(r"(?!.*[0-9]{9})[A-Za-z_][A-Za-z0-9_\-]{0,39}")
# Pydantic marks a bad key of an object with [key].
_KEY_MARK = "[key]"


@dataclass(frozen=True, slots=True)
class FieldError:
    """A field that breaks a rule."""

    field: Annotated[str, Field(description="The path of the field.", examples=["amount", "metadata.order_id"])]
    code: str
    detail: str


class FieldsInvalid(PaybridgeError):
    """Several fields break a rule, or one of them does; none of the values is repeated."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(", ".join(f"{error.field} {error.code}" for error in errors))
        self.errors = errors


def validate(model: type[Model], members: Mapping[str, Any]) -> tuple[Model | None, list[FieldError]]:
    """Return the model of these members, or None and every field that breaks a rule, without its value."""
    try:
        return model.model_validate(members), []
    except ValidationError as error:
        return None, field_errors(error.errors(include_url=False, include_input=False))


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Return the fields and rules of Pydantic's list of errors, in our words."""
    return [_field_error(error["type"], tuple(error["loc"]), error.get("ctx") or {}) for error in errors]


def shown_path(names: Iterable[str]) -> str:
    """Return the path of a field, with a question mark for each name that may hold what must not be repeated."""
    return ".".join(name if _HARMLESS_NAME.fullmatch(name) else "?" for name in names)


def _field_error(type_: str, location: tuple[Any, ...], context: Mapping[str, Any]) -> FieldError:
    names = location[:-1] if len(location) > 2 and location[-1] == _KEY_MARK else location
    path = tuple(map(str, names))
    rule = rule_for(type_, path)
    return FieldError(shown_path(path), rule.code, rule.detail(context))
