"""The fields of requests about replays, and of the answers, for the OpenAPI document.

`requests.py` checks the requests by hand, and replay/domain.py makes the answers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from paybridge.outbox.consumers import EVENT_CONSUMERS
from paybridge.replay.domain import (
    RATE_PER_SECOND,
    RATE_PER_SECOND_MAX,
    RATE_PER_SECOND_MIN,
    TYPES_MAX,
    ReplayState,
)

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]
ConsumerName = Annotated[
    str,
    Field(
        description="The consumer, by the name of its queue.",
        json_schema_extra={"enum": [*EVENT_CONSUMERS]},
        examples=["notifications"],
    ),
]
TypeName = Annotated[str, Field(examples=["payment.succeeded"])]


class ReplayRequest(BaseModel):
    """Which facts to publish again, to which consumer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    consumer: ConsumerName
    from_: Annotated[Time, Field(alias="from", description="Facts from this time on, this microsecond included.")]
    to: Annotated[Time | None, Field(description="Facts before this time. This moment if absent or in the future.")] = (
        None
    )
    types: Annotated[
        list[TypeName] | None,
        Field(
            min_length=1,
            max_length=TYPES_MAX,
            description="Only these types or families, such as `refund.*`. All that the consumer takes if absent.",
        ),
    ] = None
    rate_per_second: Annotated[
        float | None,
        Field(
            ge=RATE_PER_SECOND_MIN,
            le=RATE_PER_SECOND_MAX,
            description=f"How many to publish in a second. {RATE_PER_SECOND:g} if absent.",
            examples=[50],
        ),
    ] = None
    dry_run: Annotated[bool | None, Field(description="Only say what it would do. `false` if absent.")] = None


class ReplayPlan(BaseModel):
    """What a replay would do."""

    send: Annotated[int, Field(description="Facts that it would publish.", examples=[1200])]
    new: Annotated[int, Field(description="Those that would make the consumer do something.", examples=[3])]
    already_processed: Annotated[int, Field(description="Those that change nothing.", examples=[1197])]
    new_by_type: Annotated[dict[str, int], Field(examples=[{"payment.succeeded": 3}])]
    seconds: Annotated[float, Field(description="From the first fact to the last, at the rate.", examples=[24.0])]


class ReplayView(BaseModel):
    """A replay."""

    replay_id: Id
    consumer: ConsumerName
    from_: Annotated[Time, Field(alias="from")]
    to: Time
    types: list[TypeName] | None
    rate_per_second: Annotated[float, Field(examples=[50.0])]
    dry_run: bool
    state: Annotated[
        str,
        Field(description="`running`, `paused`, `finished` or `canceled`.", json_schema_extra={"enum": [*ReplayState]}),
    ]
    progress: Annotated[float, Field(description="Which part of the range was read, from 0 to 1.", examples=[0.25])]
    position_at: Annotated[Time, Field(description="The time up to which facts were read.")]
    sent: Annotated[int, Field(description="Facts that the broker has confirmed.", examples=[300])]
    would: Annotated[ReplayPlan | None, Field(description="What a dry run found so far. Null for a replay.")]
    events: Annotated[
        dict[str, int],
        Field(description="Facts by their type: sent, or counted by a dry run.", examples=[{"payment.succeeded": 300}]),
    ]
    problem: Annotated[str | None, Field(description="Why the broker refuses the facts now. Null if it does not.")]
    created_by: str
    changed_by: Annotated[str | None, Field(description="Who paused, resumed or canceled it last.")]
    created_at: Time
    finished_at: Annotated[Time | None, Field(description="When it finished or was canceled.")]


class ReplayList(BaseModel):
    """Replays, newest first."""

    data: list[ReplayView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]


MODELS: tuple[type[BaseModel], ...] = (ReplayRequest, ReplayView, ReplayList)
