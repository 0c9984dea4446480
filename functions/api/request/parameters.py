"""Parameters that several routes have: ids in paths, times, and those of pages."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from paybridge.core.strict_json import JsonNumber
from paybridge.core.times import parse_time

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
# uuid.UUID also reads braces, prefixes and missing hyphens, but a resource has one address.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def parse_id(text: str) -> UUID | None:
    """Return the id in a path, None if it is none: then nothing has this address."""
    return UUID(text) if _ID.fullmatch(text.lower()) else None


def refuse_nul(value: str) -> str:
    """Return the text, which PostgreSQL can store unless it holds NUL. Raises the rule `text_unstorable`."""
    if "\x00" in value:
        raise _broken("text_unstorable")
    return value


def _parse_time(value: Any) -> datetime:
    # A plus sign that was not percent-encoded arrives as a space. Nothing else can stand there.
    try:
        return parse_time(str(value).replace(" ", "+"))
    except ValueError:
        raise _broken("time_invalid") from None


def _parse_page_size(value: Any) -> int:
    if not _PAGE_SIZE.fullmatch(str(value)):
        raise _broken("limit_invalid")
    return int(value)


def _none_if_empty(value: Any) -> Any:
    return value or None


def _broken(rule: str) -> PydanticCustomError:
    """Return the error for a rule of our own. The sentence is in the table of rules."""
    return PydanticCustomError(rule, "broken")


def _parse_whole_number(value: Any) -> int:
    if not isinstance(value, JsonNumber) or not _WHOLE_NUMBER.fullmatch(value.text):
        raise _broken("number_invalid")
    return int(value.text)


# For an integer in a body, beside its bounds.
WholeNumber = BeforeValidator(_parse_whole_number)
Time = Annotated[AwareDatetime, BeforeValidator(_parse_time)]
PageSize = Annotated[
    int, Field(ge=1, le=100, description="The size of a page, 20 if absent."), BeforeValidator(_parse_page_size)
]
PageCursor = Annotated[
    str | None,
    Field(
        max_length=64,
        description="The `next_cursor` of the previous page. Empty means the first page.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]*$"},
    ),
    BeforeValidator(_none_if_empty),
]


class PageQuery(BaseModel):
    """Which page of a list to show. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: PageSize = 20
    cursor: PageCursor = None
