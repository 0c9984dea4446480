"""What operators send about rebuilds. Their rules are few, so they are checked by hand; `schemas.py` documents them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.problems import validation_failed
from api.request.json_body import parse_object
from paybridge.core.fields import FieldError, shown_path
from paybridge.core.strict_json import JsonNumber
from paybridge.ledger.domain.rebuild import REASON_CHARACTERS_MAX
from paybridge.ledger.rebuild import WAIT_SECONDS

WAIT_SECONDS_MAX = 3600
_WHOLE = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class WantedRebuild:
    """The body of a rebuild."""

    switch: bool
    wait_seconds: int


def parse_start(body: bytes, rules_version: int) -> WantedRebuild:
    """Return what a body asks for, which may be empty. `rules_version` is the only one there is. Raises Problem."""
    members = parse_object(body) if body else {}
    faults = _unknown(members, ("switch", "wait_seconds", "rules_version"))
    switch = members.get("switch")
    if not isinstance(switch, bool | None):
        faults.append(FieldError("switch", "not_a_boolean", "Send true or false."))
    wait_seconds = _whole(members, "wait_seconds", faults)
    if wait_seconds is not None and wait_seconds > WAIT_SECONDS_MAX:
        sentence = f"Send a whole number of seconds up to {WAIT_SECONDS_MAX}."
        faults.append(FieldError("wait_seconds", "number_invalid", sentence))
    wanted_version = _whole(members, "rules_version", faults)
    if wanted_version not in (None, rules_version):
        sentence = f"The rules have version {rules_version}. Deploy the version that you want, or send none."
        faults.append(FieldError("rules_version", "rules_version_not_deployed", sentence))
    if faults:
        raise validation_failed(faults)
    return WantedRebuild(bool(switch), WAIT_SECONDS if wait_seconds is None else wait_seconds)


def parse_switch(body: bytes) -> str | None:
    """Return why differences are accepted, None if the body is empty or says nothing. Raises Problem."""
    members = parse_object(body) if body else {}
    faults = _unknown(members, ("accept_differences",))
    reason = members.get("accept_differences")
    if reason is not None and not (isinstance(reason, str) and 1 <= len(reason.strip()) <= REASON_CHARACTERS_MAX):
        sentence = f"Send a reason of 1 to {REASON_CHARACTERS_MAX} characters."
        faults.append(FieldError("accept_differences", "reason_invalid", sentence))
    if faults:
        raise validation_failed(faults)
    return None if reason is None else reason.strip()


def _whole(members: Mapping[str, Any], name: str, faults: list[FieldError]) -> int | None:
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, JsonNumber) and _WHOLE.fullmatch(value.text):
        return int(value.text)
    faults.append(FieldError(name, "number_invalid", "Send a whole number."))
    return None


def _unknown(members: Mapping[str, Any], known: tuple[str, ...]) -> list[FieldError]:
    return [
        FieldError(shown_path([name]), "unknown_member", "Unknown field. Remove it or check its spelling.")
        for name in sorted(set(members) - set(known))
    ]
