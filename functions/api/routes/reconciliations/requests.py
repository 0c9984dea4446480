"""What operators ask of reconciliations: days, pages, and decisions about breaks.

Their rules are few, so they are checked by hand. `schemas.py` documents them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

from api.problems import Problem, validation_failed
from api.request.json_body import parse_object
from api.routes.reconciliations.documentation import GATEWAY_PATTERN
from paybridge.core.fields import FieldError, shown_path
from paybridge.reconciliation.domain.breaks import (
    FORCE,
    NOTE_CHARACTERS_MAX,
    RESOLVE,
    BreakDecision,
    BreakState,
    BreakType,
    kept_note,
)

PAGE_SIZE = 20
_GATEWAY = re.compile(GATEWAY_PATTERN)
# Python reads more forms, such as 20261128, than RFC 3339 has.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
_NO_CURSOR = "Send a next_cursor of this list unchanged, or none."


class BreakQuery(NamedTuple):
    """Which breaks to list, and the page."""

    after: UUID
    limit: int
    state: BreakState | None
    type_: BreakType | None


@dataclass(frozen=True, slots=True)
class WantedDecision:
    """The body of a decision about a break."""

    decision: BreakDecision
    note: str


def parse_day(body: bytes) -> date:
    """Return the day of the body of a start. Raises Problem (400, 413, 422)."""
    members = parse_object(body)
    faults = _unknown(members, ("date",))
    day = _day(members.get("date"), faults)
    if faults or day is None:
        raise validation_failed(faults)
    return day


def parse_import(raw_query: bytes) -> tuple[date, str]:
    """Return the day and the gateway of an import. Raises Problem (422)."""
    members = _query(raw_query)
    faults = _unknown(members, ("date", "gateway"))
    day = _day(members.get("date"), faults)
    gateway = members.get("gateway", "default")
    if not _GATEWAY.fullmatch(gateway):
        faults.append(FieldError("gateway", "not_an_option", "Send the name of a gateway, such as default."))
    if faults or day is None:
        raise validation_failed(faults)
    return day, gateway


def parse_page(raw_query: bytes) -> tuple[date | None, int]:
    """Return the day before which the page begins, and its size. Raises Problem (422)."""
    members = _query(raw_query)
    faults = _unknown(members, ("cursor", "limit"))
    limit = _limit(members, faults)
    before = None
    if members.get("cursor"):
        try:
            before = date.fromisoformat(members["cursor"])
        except ValueError:
            raise Problem(422, "cursor_invalid", _NO_CURSOR) from None
    if faults:
        raise validation_failed(faults)
    return before, limit


def parse_breaks(raw_query: bytes) -> BreakQuery:
    """Return which breaks to list. Raises Problem (422)."""
    members = _query(raw_query)
    faults = _unknown(members, ("cursor", "limit", "state", "type"))
    limit = _limit(members, faults)
    state, type_ = members.get("state"), members.get("type")
    for name, value, options in (("state", state, BreakState), ("type", type_, BreakType)):
        if value is not None and value not in set(options):
            faults.append(FieldError(name, "not_an_option", f"Send one of {', '.join(options)}."))
    try:
        after = UUID(members.get("cursor") or str(UUID(int=0)))
    except ValueError:
        raise Problem(422, "cursor_invalid", _NO_CURSOR) from None
    if faults:
        raise validation_failed(faults)
    return BreakQuery(
        after, limit, None if state is None else BreakState(state), None if type_ is None else BreakType(type_)
    )


def parse_decision(body: bytes, decision: BreakDecision) -> WantedDecision:
    """Return a decision and its note. Raises Problem (400, 413, 422)."""
    members = parse_object(body)
    known = ("note", "resolution") if decision is RESOLVE else ("note",)
    faults = _unknown(members, known)
    said = members.get("note")
    note = kept_note(said) if isinstance(said, str) else None
    if said is None:
        faults.append(FieldError("note", "required", "Say in a note why."))
    elif note is None:
        detail = f"Send a text of 1 to {NOTE_CHARACTERS_MAX} characters."
        faults.append(FieldError("note", "note_invalid", detail))
    resolution = members.get("resolution")
    if resolution is not None and resolution not in ("manual", "force"):
        faults.append(FieldError("resolution", "not_an_option", "Send manual or force."))
    if faults or note is None:
        raise validation_failed(faults)
    return WantedDecision(FORCE if resolution == "force" else decision, note)


def _query(raw_query: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True))


def _day(value: Any, faults: list[FieldError]) -> date | None:
    if value is None:
        faults.append(FieldError("date", "required", "This field is required."))
        return None
    try:
        return date.fromisoformat(value if isinstance(value, str) and _DAY.fullmatch(value) else "")
    except ValueError:
        faults.append(FieldError("date", "day_invalid", "Send a day in UTC, such as 2026-11-28."))
        return None


def _limit(members: Mapping[str, str], faults: list[FieldError]) -> int:
    limit = members.get("limit", str(PAGE_SIZE))
    if not _PAGE_SIZE.fullmatch(limit):
        faults.append(FieldError("limit", "limit_invalid", "Send a whole number from 1 to 100."))
        return PAGE_SIZE
    return int(limit)


def _unknown(members: Mapping[str, Any], known: Iterable[str]) -> list[FieldError]:
    return [
        FieldError(shown_path([name]), "unknown_member", "Unknown field. Remove it or check its spelling.")
        for name in sorted(set(members) - set(known))
    ]
