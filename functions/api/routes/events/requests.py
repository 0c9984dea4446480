"""The parameters of requests for events."""

from __future__ import annotations

from typing import Annotated, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.requests import Request

from api.problems import validation_failed
from api.request.headers import single_header
from api.request.parameters import PageSize, Time, parse_id
from api.request.query import check_query_string
from paybridge.core.events import PUBLIC_TYPES
from paybridge.core.fields import FieldError, validate
from paybridge.feed.domain import FeedFilters, matching_types
from paybridge.feed.read_events import cursor_invalid

LAST_EVENT_ID = "Last-Event-ID"
_TYPE_UNKNOWN = FieldError(
    "type", "event_type_unknown", "Send types of events or patterns such as payment.*, separated by commas."
)
_ID_MALFORMED = FieldError("payment_id", "text_malformed", "Send the payment_id of a payment, a UUID.")
_TWO_CURSORS = FieldError("cursor", "cursor_repeated", "Send after or cursor, which mean the same.")


def _none_if_empty(value: object) -> object:
    return value or None


_Text = Annotated[str | None, BeforeValidator(_none_if_empty)]


class EventQuery(BaseModel):
    """Which events to show, and after which one. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str | None = None
    payment_id: str | None = None
    created_from: Time | None = None
    created_to: Time | None = None
    after: _Text = None
    cursor: _Text = None

    def filters(self) -> FeedFilters:
        """Return the filters. Call `parse_query` for the errors."""
        return FeedFilters(
            types=PUBLIC_TYPES if self.type is None else matching_types(self.type),
            payment_id=None if self.payment_id is None else parse_id(self.payment_id),
            created_from=self.created_from,
            created_to=self.created_to,
        )


class EventPageQuery(EventQuery):
    """Which page of events to show."""

    limit: PageSize = 20


Query = TypeVar("Query", bound=EventQuery)


class StreamedPaymentQuery(BaseModel):
    """After which event a payment's stream goes on. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: _Text = None


def parse_query(request: Request, model: type[Query]) -> Query:
    """Return the parameters of a request for events. Raises Problem (400, 422)."""
    query, faults = validate(model, _members(request))
    if query is None:
        raise validation_failed(faults)
    filters = query.filters()
    faults = [] if filters.types else [_TYPE_UNKNOWN]
    if query.payment_id is not None and filters.payment_id is None:
        faults.append(_ID_MALFORMED)
    if query.after is not None and query.cursor is not None:
        faults.append(_TWO_CURSORS)
    if faults:
        raise validation_failed(faults)
    return query


def parse_payment_query(request: Request) -> StreamedPaymentQuery:
    """Return the parameters of a request for a payment's stream. Raises Problem (400, 422)."""
    query, faults = validate(StreamedPaymentQuery, _members(request))
    if query is None:
        raise validation_failed(faults)
    return query


def last_event_id(request: Request, after: str | None) -> UUID | None:
    """Return the event after which a stream goes on: that of the header, which is newer, or of the parameter.

    An EventSource repeats its URL unchanged when it connects again. Raises Problem (400) and InvalidInput.
    """
    return parse_cursor(single_header(request.headers, LAST_EVENT_ID) or after)


def parse_cursor(text: str | None) -> UUID | None:
    """Return the event that a cursor names, None for the start. Raises InvalidInput (`cursor_invalid`)."""
    id_ = None if text is None else parse_id(text)
    if text is not None and id_ is None:
        raise cursor_invalid()
    return id_


def _members(request: Request) -> dict[str, str]:
    raw: bytes = request.scope["query_string"]
    check_query_string(raw)
    return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True))
