"""What operators ask of audits. Their rules are few, so they are checked by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from api.problems import validation_failed
from paybridge.audit.domain import GRACE_SECONDS, GRACE_SECONDS_MAX, AuditOrder, AuditPosition, parse_position
from paybridge.core.errors import InvalidInput
from paybridge.core.fields import FieldError, shown_path
from paybridge.core.times import parse_time, shift

# What is audited unless the request says otherwise: the last day.
RANGE = timedelta(days=1)
_MEMBERS = ("from", "to", "grace_seconds", "cursor")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


def parse_query(raw_query: bytes, now: datetime) -> tuple[AuditOrder, AuditPosition | None]:
    """Return what to audit, and where to go on, None from the beginning. Raises Problem (422)."""
    members = dict(parse_qsl(raw_query.decode("ascii"), keep_blank_values=True))
    faults = [
        FieldError(shown_path([name]), "unknown_member", "Unknown parameter. Remove it or check its spelling.")
        for name in sorted(set(members) - set(_MEMBERS))
    ]
    end_at = _time(members, "to", faults) or now
    begin_at = _time(members, "from", faults) or shift(end_at, -RANGE)
    if not faults and begin_at >= end_at:
        faults.append(FieldError("to", "range_invalid", "Send a time after `from`."))
    grace_seconds = _seconds(members, faults)
    position = _position(members, faults)
    if faults:
        raise validation_failed(faults)
    return AuditOrder(begin_at=begin_at, end_at=min(end_at, now), grace_seconds=grace_seconds), position


def _time(members: Mapping[str, str], name: str, faults: list[FieldError]) -> datetime | None:
    if name not in members:
        return None
    try:
        return parse_time(members[name])
    except ValueError:
        detail = "Send an RFC 3339 time with seconds and a UTC offset, such as 2026-01-31T12:00:00Z."
        faults.append(FieldError(name, "time_invalid", detail))
        return None


def _seconds(members: Mapping[str, str], faults: list[FieldError]) -> float:
    text = members.get("grace_seconds")
    if text is None:
        return GRACE_SECONDS
    if not _SECONDS.fullmatch(text) or float(text) > GRACE_SECONDS_MAX:
        faults.append(FieldError("grace_seconds", "number_invalid", f"Send a number from 0 to {GRACE_SECONDS_MAX:g}."))
        return GRACE_SECONDS
    return float(text)


def _position(members: Mapping[str, str], faults: list[FieldError]) -> AuditPosition | None:
    if not members.get("cursor"):
        return None
    try:
        return parse_position(members["cursor"])
    except InvalidInput as error:
        faults.append(FieldError("cursor", error.code, error.detail))
        return None
