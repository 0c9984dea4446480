"""What operators ask of replays: the body that starts one, and pages of the list.

Their rules are few, so they are checked by hand. `schemas.py` documents them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from api.problems import validation_failed
from api.request.json_body import parse_object
from paybridge.core.fields import FieldError, shown_path
from paybridge.core.strict_json import JsonNumber
from paybridge.core.times import parse_time
from paybridge.outbox.consumers import EVENT_CONSUMERS, takes
from paybridge.replay.domain import (
    RATE_PER_SECOND,
    RATE_PER_SECOND_MAX,
    RATE_PER_SECOND_MIN,
    TYPES_MAX,
    ReplayOrder,
    is_type,
)

PAGE_SIZE = 20
CURSOR_CHARACTERS_MAX = 64
_MEMBERS = ("consumer", "from", "to", "types", "rate_per_second", "dry_run")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class ReplayPageQuery:
    """The page of a list."""

    cursor: str | None
    limit: int


def parse_start(body: bytes, actor: str, now: datetime) -> ReplayOrder:
    """Return the order of a replay. Without `to` it ends now. Raises Problem (400, 413, 422)."""
    members = parse_object(body)
    faults = _unknown(members, _MEMBERS)
    consumer = _consumer(members, faults)
    begin_at = _time(members, "from", faults)
    if begin_at is None and members.get("from") is None:
        faults.append(FieldError("from", "required", "This field is required."))
    end_at = _time(members, "to", faults) or now
    if begin_at is not None and members.get("to") is not None and begin_at >= end_at:
        faults.append(FieldError("to", "range_invalid", "Send a time after `from`."))
    types = _types(members, consumer, faults)
    rate = _rate(members, faults)
    is_dry_run = members.get("dry_run")
    if not isinstance(is_dry_run, bool | None):
        faults.append(FieldError("dry_run", "not_a_boolean", "Send true or false."))
    if faults:
        raise validation_failed(faults)
    assert begin_at is not None
    return ReplayOrder(
        consumer=consumer,
        begin_at=begin_at,
        end_at=end_at,
        types=types,
        rate_per_second=rate,
        is_dry_run=bool(is_dry_run),
        actor=actor,
    )


def parse_page(raw_query: bytes) -> ReplayPageQuery:
    """Return the page that a query names. Raises Problem (422)."""
    members = dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True))
    faults = _unknown(members, ("cursor", "limit"))
    cursor, limit = members.get("cursor"), members.get("limit", str(PAGE_SIZE))
    if cursor is not None and len(cursor) > CURSOR_CHARACTERS_MAX:
        faults.append(FieldError("cursor", "cursor_invalid", "Send a next_cursor of this list unchanged, or none."))
    if not _PAGE_SIZE.fullmatch(limit):
        faults.append(FieldError("limit", "limit_invalid", "Send a whole number from 1 to 100."))
    if faults:
        raise validation_failed(faults)
    return ReplayPageQuery(cursor or None, int(limit))


def _consumer(members: Mapping[str, Any], faults: list[FieldError]) -> str:
    value = members.get("consumer")
    if value is None:
        faults.append(FieldError("consumer", "required", "This field is required."))
    elif not isinstance(value, str) or value not in EVENT_CONSUMERS:
        faults.append(FieldError("consumer", "not_an_option", f"Send one of {', '.join(EVENT_CONSUMERS)}."))
    else:
        return value
    return ""


def _types(members: Mapping[str, Any], consumer: str, faults: list[FieldError]) -> tuple[str, ...]:
    value = members.get("types")
    if value is None:
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= TYPES_MAX:
        faults.append(FieldError("types", "types_invalid", f"Send 1 to {TYPES_MAX} types of events in an array."))
        return ()
    for number, item in enumerate(value):
        if not isinstance(item, str) or not is_type(item):
            detail = "Send a type of events, such as payment.succeeded, or a family, such as payment.*."
            faults.append(FieldError(f"types[{number}]", "types_invalid", detail))
        elif consumer and not takes(EVENT_CONSUMERS[consumer], item):
            detail = f"The consumer gets no such events. It takes {', '.join(EVENT_CONSUMERS[consumer])}."
            faults.append(FieldError(f"types[{number}]", "types_invalid", detail))
    return tuple(dict.fromkeys(item for item in value if isinstance(item, str)))


def _rate(members: Mapping[str, Any], faults: list[FieldError]) -> float:
    value = members.get("rate_per_second")
    if value is None:
        return RATE_PER_SECOND
    text = value.text if isinstance(value, JsonNumber) else ""
    if not _RATE.fullmatch(text) or not RATE_PER_SECOND_MIN <= float(text) <= RATE_PER_SECOND_MAX:
        detail = f"Send a number from {RATE_PER_SECOND_MIN:g} to {RATE_PER_SECOND_MAX:g}."
        faults.append(FieldError("rate_per_second", "rate_invalid", detail))
        return RATE_PER_SECOND
    return float(text)


def _time(members: Mapping[str, Any], name: str, faults: list[FieldError]) -> datetime | None:
    value = members.get(name)
    if value is None:
        return None
    try:
        return parse_time(value if isinstance(value, str) else "")
    except ValueError:
        detail = "Send an RFC 3339 time with seconds and a UTC offset, such as 2026-01-31T12:00:00Z."
        faults.append(FieldError(name, "time_invalid", detail))
        return None


def _unknown(members: Mapping[str, Any], known: tuple[str, ...]) -> list[FieldError]:
    return [
        FieldError(shown_path([name]), "unknown_member", "Unknown field. Remove it or check its spelling.")
        for name in sorted(set(members) - set(known))
    ]
