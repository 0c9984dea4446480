"""The field by which merchants choose events."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from paybridge.core.event_patterns import PATTERN_CHARACTERS_MAX, is_pattern


def _check_pattern(text: str) -> str:
    if not is_pattern(text):
        raise PydanticCustomError("event_pattern_unknown", "broken")
    return text


EventPattern = Annotated[
    str,
    Field(
        max_length=PATTERN_CHARACTERS_MAX,
        description="A type of event, a family such as `payment.*`, or `*`.",
        examples=["payment.failed"],
    ),
    AfterValidator(_check_pattern),
]
