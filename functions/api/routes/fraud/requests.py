"""What merchants send about fraud rules: the rules themselves, and the order of a dry run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.problems import validation_failed
from api.request.json_body import parse_object
from paybridge.core.fields import FieldError, shown_path
from paybridge.core.strict_json import JsonNumber
from paybridge.core.times import parse_time
from paybridge.fraud.domain.reading import read_rules, without_nulls
from paybridge.fraud.rules import VERSION_MAX

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class DryRunOrder:
    """The rules to try, on payments created from `begin_at` on and before `end_at`."""

    rules: list[dict[str, Any]]
    begin_at: datetime
    end_at: datetime


def parse_rules(body: bytes) -> list[dict[str, Any]]:
    """Return the rules in a body, as they are stored. Raises Problem (400, 413, 422)."""
    members = _with_integers(parse_object(body))
    faults = _unknown(members, ("rules",))
    rules = _rules(members, faults)
    _raise_if_any(faults)
    return rules


def parse_dry_run(body: bytes) -> DryRunOrder:
    """Return the order of a dry run. Raises Problem (400, 413, 422)."""
    members = _with_integers(parse_object(body))
    faults = _unknown(members, ("rules", "from", "to"))
    rules = _rules(members, faults)
    begin_at, end_at = _time(members, "from", faults), _time(members, "to", faults)
    if begin_at is not None and end_at is not None and begin_at >= end_at:
        faults.append(FieldError("to", "range_invalid", "Send a time after `from`."))
    _raise_if_any(faults)
    assert begin_at is not None
    assert end_at is not None
    return DryRunOrder(rules, begin_at, end_at)


def parse_version(text: str | None) -> int | None:
    """Return the number of a version, None if none is named. Raises Problem (422)."""
    if text is None:
        return None
    if not _VERSION.fullmatch(text) or int(text) > VERSION_MAX:
        raise validation_failed([FieldError("version", "number_invalid", "Send a whole number above 0.")])
    return int(text)


def _rules(members: Mapping[str, Any], faults: list[FieldError]) -> list[dict[str, Any]]:
    if members.get("rules") is None:
        faults.append(FieldError("rules", "required", "This field is required."))
        return []
    _, found = read_rules(members["rules"])
    faults += [FieldError(fault.field, fault.code, fault.detail) for fault in found]
    rules: list[dict[str, Any]] = [] if found else without_nulls(members["rules"])
    return rules


def _time(members: Mapping[str, Any], name: str, faults: list[FieldError]) -> datetime | None:
    value = members.get(name)
    if value is None:
        faults.append(FieldError(name, "required", "This field is required."))
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


def _raise_if_any(faults: list[FieldError]) -> None:
    if faults:
        raise validation_failed(faults)


def _with_integers(value: Any) -> Any:
    """Return the members with whole numbers as int. Other numbers stay as they are: no field takes one."""
    match value:
        case JsonNumber(text):
            return int(text) if _WHOLE.fullmatch(text) else value
        case dict():
            return {name: _with_integers(member) for name, member in value.items()}
        case list():
            return [_with_integers(member) for member in value]
        case _:
            return value
