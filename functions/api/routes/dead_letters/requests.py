"""What operators ask of dead letters: query parameters, and the bodies of discards and redrives.

Their rules are few, so they are checked by hand. `schemas.py` documents them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from api.problems import validation_failed
from api.request.json_body import parse_object
from paybridge.core.errors import InvalidInput
from paybridge.core.fields import FieldError
from paybridge.core.strict_json import JsonNumber
from paybridge.dead_letters.domain import NOTE_CHARACTERS_MAX, Selection, State
from paybridge.dead_letters.redrive import RATE_PER_SECOND, RATE_PER_SECOND_MAX, RATE_PER_SECOND_MIN

IDS_MAX = 1000
QUEUE_CHARACTERS_MAX = 255
CURSOR_CHARACTERS_MAX = 64
PAGE_SIZE = 20

_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
FINGERPRINT_PATTERN = r"^[0-9a-f]{16}$"
_FINGERPRINT = re.compile(FINGERPRINT_PATTERN)
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
_SELECTORS = ("ids", "fingerprint", "queue")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which dead letters to list, and the page."""

    selection: Selection
    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class WantedRedrive:
    """The body of a redrive."""

    selection: Selection
    dry_run: bool
    rate_per_second: float


class _Faults:
    """Collects the faults of all fields, so that one answer names them all."""

    def __init__(self) -> None:
        self._found: list[FieldError] = []

    def add(self, field: str, code: str, sentence: str) -> None:
        self._found.append(FieldError(field, code, sentence))

    def read(self, members: Mapping[str, Any], name: str, parse: Callable[[Any], _Value], default: _Value) -> _Value:
        """Return the parsed member; the default if it is absent, null or faulty."""
        value = members.get(name)
        if value is None:
            return default
        try:
            return parse(value)
        except InvalidInput as error:
            self.add(error.field or name, error.code, error.detail)
            return default

    def refuse_others(self, names: Iterable[str], known: Iterable[str]) -> None:
        for name in sorted(set(names) - set(known)):
            shown = name if re.fullmatch(r"[a-z_]{1,40}", name) else "?"
            self.add(shown, "unknown_member", "Unknown field. Remove it or check its spelling.")

    def raise_if_any(self) -> None:
        if self._found:
            raise validation_failed(self._found)


def parse_list_query(raw_query: bytes, *, pages: bool) -> ListQuery:
    """Return the query of a list, or of the groups, which have no pages. Raises Problem (422)."""
    members = dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True))
    faults = _Faults()
    faults.refuse_others(members, ("queue", "fingerprint", "state", *(("cursor", "limit") if pages else ())))
    selection = Selection(
        queue=faults.read(members, "queue", _queue, None),
        fingerprint=faults.read(members, "fingerprint", _fingerprint, None),
        state=faults.read(members, "state", _state, None),
    )
    cursor = faults.read(members, "cursor", _cursor, None)
    limit = faults.read(members, "limit", _limit, PAGE_SIZE)
    faults.raise_if_any()
    return ListQuery(selection, cursor, limit)


def parse_discard(body: bytes) -> str:
    """Return the note of a discard. Raises Problem (400, 413, 422)."""
    members = parse_object(body)
    faults = _Faults()
    faults.refuse_others(members, ("note",))
    note = faults.read(members, "note", _note, "")
    if members.get("note") is None:
        faults.add("note", "required", "Say in a note why the message is discarded.")
    faults.raise_if_any()
    return note


def parse_redrive(body: bytes) -> WantedRedrive:
    """Return the order of a redrive. Raises Problem (400, 413, 422)."""
    members = parse_object(body)
    faults = _Faults()
    faults.refuse_others(members, (*_SELECTORS, "dry_run", "rate_per_second"))
    selection = Selection(
        ids=faults.read(members, "ids", _ids, None),
        fingerprint=faults.read(members, "fingerprint", _fingerprint, None),
        queue=faults.read(members, "queue", _queue, None),
    )
    dry_run = faults.read(members, "dry_run", _boolean, False)
    rate_per_second = faults.read(members, "rate_per_second", _rate, RATE_PER_SECOND)
    given = [name for name in _SELECTORS if members.get(name) is not None]
    if len(given) != 1:
        faults.add(
            given[-1] if given else "ids", "selection_invalid", "Send exactly one of ids, fingerprint and queue."
        )
    faults.raise_if_any()
    return WantedRedrive(selection, dry_run, rate_per_second)


def _ids(value: Any) -> tuple[UUID, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= IDS_MAX:
        raise InvalidInput("ids_invalid", f"Send 1 to {IDS_MAX} ids of dead letters in an array.", "ids")
    try:
        return tuple(dict.fromkeys(UUID(item) for item in value))
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput("ids_invalid", "Every id must be a UUID in a string.", "ids") from None


def _fingerprint(value: Any) -> str:
    if not isinstance(value, str) or not _FINGERPRINT.fullmatch(value):
        raise InvalidInput("fingerprint_invalid", "Send the 16 hexadecimal digits of a group.", "fingerprint")
    return value


def _queue(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= QUEUE_CHARACTERS_MAX or "\0" in value:
        raise InvalidInput("queue_invalid", "Send the name of a queue, such as payments.new.", "queue")
    return value


def _state(value: Any) -> State:
    if value not in list(State):
        raise InvalidInput("not_an_option", f"Send one of {', '.join(State)}.", "state")
    return State(value)


def _cursor(value: Any) -> str | None:
    if len(value) > CURSOR_CHARACTERS_MAX:
        raise InvalidInput("cursor_invalid", "Send a next_cursor of this list unchanged, or none.", "cursor")
    return value or None


def _limit(value: Any) -> int:
    if not _PAGE_SIZE.fullmatch(value):
        raise InvalidInput("limit_invalid", "Send a whole number from 1 to 100.", "limit")
    return int(value)


def _note(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= NOTE_CHARACTERS_MAX:
        raise InvalidInput("note_invalid", f"Send a note of 1 to {NOTE_CHARACTERS_MAX} characters.", "note")
    return value.strip()


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("not_a_boolean", "Send true or false.", "dry_run")
    return value


def _rate(value: Any) -> float:
    text = value.text if isinstance(value, JsonNumber) else ""
    if not _RATE.fullmatch(text) or not RATE_PER_SECOND_MIN <= float(text) <= RATE_PER_SECOND_MAX:
        raise InvalidInput(
            "rate_invalid",
            f"Send a number from {RATE_PER_SECOND_MIN:g} to {RATE_PER_SECOND_MAX:g}.",
            "rate_per_second",
        )
    return float(text)
