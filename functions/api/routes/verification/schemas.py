"""The fields of the answers to checks, for the OpenAPI document. verification/verify.py makes the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field


class FindingView(BaseModel):
    """What one check has found."""

    check: Annotated[str, Field(description="The name of the invariant.", examples=["debits_equal_credits"])]
    holds: Annotated[bool | None, Field(description="Whether it holds. Null if it could not be checked in time.")]
    checked: Annotated[int, Field(description="How many items were looked at.", examples=[412])]
    detail: Annotated[
        str | None,
        Field(
            description="The first items that break it, or why it was not checked.",
            examples=["book 1, EUR/2: debits 500, credits 400"],
        ),
    ]


class Verification(BaseModel):
    """What every check has found."""

    holds: Annotated[
        bool | None,
        Field(description="Whether every invariant holds. Null if none is broken and one could not be checked."),
    ]
    data: list[FindingView]


MODELS: tuple[type[BaseModel], ...] = (Verification,)
