"""The fields of requests about dead letters, and of the answers, for the OpenAPI document.

`requests.py` checks the requests by hand, and dead_letters/domain.py makes the answers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.routes.dead_letters.requests import FINGERPRINT_PATTERN, IDS_MAX, QUEUE_CHARACTERS_MAX
from paybridge.dead_letters.domain import NOTE_CHARACTERS_MAX, State
from paybridge.dead_letters.redrive import RATE_PER_SECOND, RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN

_STRICT = ConfigDict(extra="forbid", frozen=True)

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]
Fingerprint = Annotated[
    str,
    Field(
        description="The same for equal faults, whatever ids and numbers their reasons hold.",
        examples=["3f9a61c0d2b84e17"],
    ),
]
DeadLetterState = Annotated[
    str,
    Field(description="`dead` waits for an operator, `redriving` for the relay.", json_schema_extra={"enum": [*State]}),
]


class RedriveRequest(BaseModel):
    """Which dead letters to publish again: exactly one of `ids`, `fingerprint` and `queue`."""

    model_config = _STRICT

    ids: Annotated[list[Id] | None, Field(min_length=1, max_length=IDS_MAX, description="These dead letters.")] = None
    fingerprint: Annotated[
        str | None, Field(pattern=FINGERPRINT_PATTERN, description="All of this group.", examples=["3f9a61c0d2b84e17"])
    ] = None
    queue: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=QUEUE_CHARACTERS_MAX,
            description="All that died in this queue, or arrived in this dead-letter queue.",
            examples=["webhooks"],
        ),
    ] = None
    dry_run: Annotated[bool | None, Field(description="Only say what it would do. `false` if absent.")] = None
    rate_per_second: Annotated[
        float | None,
        Field(
            ge=RATE_PER_SECOND_MIN,
            le=RATE_PER_SECOND_MAX,
            description=f"How many to publish in a second. {RATE_PER_SECOND:g} if absent.",
            examples=[5],
        ),
    ] = None


class DiscardRequest(BaseModel):
    """Why nothing more is done about a dead letter."""

    model_config = _STRICT

    note: Annotated[str, Field(min_length=1, max_length=NOTE_CHARACTERS_MAX, pattern=r"\S", examples=["Sent by hand."])]


class DeadLetterView(BaseModel):
    """A message that could not be processed."""

    dead_letter_id: Id
    state: DeadLetterState
    queue: Annotated[str, Field(description="Where it died.", examples=["webhooks"])]
    reason: Annotated[str, Field(description="Why it died.", examples=["unknown type payment.lost"])]
    fingerprint: Fingerprint
    count: Annotated[int, Field(description="How often it has died.", examples=[1])]
    redrives: Annotated[int, Field(description="How often it was published again.", examples=[0])]
    first_seen_at: Time
    last_seen_at: Time
    dead_letter_queue: Annotated[str, Field(description="Where it arrived.", examples=["payments.dead"])]
    message_id: str | None
    type: Annotated[str | None, Field(description="The AMQP type of the message.")]
    payment_id: Annotated[Id | None, Field(description="The payment that it is about, if it names one.")]
    correlation_id: str | None
    body_bytes: Annotated[int, Field(description="The size of the whole body.", examples=[412])]
    redrive_id: Annotated[Id | None, Field(description="The newest redrive. Null without one.")]
    discarded_at: Time | None
    discarded_by: str | None
    note: Annotated[str | None, Field(description="Why it was discarded.")]


class DeadLetterAction(BaseModel):
    """What an operator did."""

    action: Annotated[str, Field(description="`redrive` or `discard`. Others may follow.", examples=["redrive"])]
    actor: Annotated[str, Field(description="Who did it.")]
    note: str | None
    redrive_id: Id | None
    at: Time


class DeadLetterRecord(DeadLetterView):
    """A dead letter with its content and with what operators did."""

    body: Annotated[str, Field(description="The body, or its beginning.")]
    body_encoding: Annotated[
        Literal["utf-8", "base64"], Field(description="`base64` for a body that is not text in UTF-8.")
    ]
    body_truncated: Annotated[bool, Field(description="Whether `body` is only the beginning.")]
    headers: Annotated[dict[str, Any], Field(description="The AMQP headers.")]
    deaths: Annotated[list[Any], Field(description="What the broker recorded in `x-death`.")]
    actions: Annotated[list[DeadLetterAction], Field(description="What operators did, the first action first.")]


class DeadLetterList(BaseModel):
    """Dead letters, newest first."""

    data: list[DeadLetterView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]


class DeadLetterGroup(BaseModel):
    """Dead letters with the same fault."""

    fingerprint: Fingerprint
    queue: Annotated[str, Field(description="Where they died.", examples=["webhooks"])]
    reason: Annotated[str, Field(description="The reason of the newest one.", examples=["unknown type payment.lost"])]
    count: Annotated[int, Field(description="How many there are.", examples=[12])]
    first_seen_at: Time
    last_seen_at: Time
    example_id: Annotated[Id, Field(description="The newest one.")]


class DeadLetterGroups(BaseModel):
    """Groups, the largest first. There is one page."""

    data: list[DeadLetterGroup]
    has_more: bool
    next_cursor: str | None


class RedriveKind(BaseModel):
    """Messages of one fault in one queue."""

    queue: str
    reason: str
    fingerprint: Fingerprint
    count: int


class RedrivePlan(BaseModel):
    """What a redrive does."""

    publish: Annotated[list[RedriveKind], Field(description="The messages by queue and fault, most first.")]
    rate_per_second: float
    seconds: Annotated[float, Field(description="From the first message to the last.")]
    has_more: Annotated[bool, Field(description="Whether another redrive is needed for the rest.")]
    not_redrivable: Annotated[int, Field(description="Dead letters that came from no queue of Paybridge.")]


class Redrive(BaseModel):
    """The answer to a redrive."""

    redrive_id: Annotated[Id | None, Field(description="Null for a dry run.")]
    matched: Annotated[int, Field(description="How many dead letters are published again.")]
    would: RedrivePlan


MODELS: tuple[type[BaseModel], ...] = (
    RedriveRequest,
    DiscardRequest,
    DeadLetterView,
    DeadLetterRecord,
    DeadLetterList,
    DeadLetterGroups,
    Redrive,
)
