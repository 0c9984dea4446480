"""Callers: whose key a key is."""

from __future__ import annotations

from collections.abc import Iterator

from ..api import Api, new_key, new_marker
from ..rules import Finding, judged, not_applicable


def check_other_caller(api: Api) -> Iterator[Finding]:
    """Send one request with one key as two callers."""
    other_key = api.settings.other_key
    if not other_key:
        yield not_applicable("other-caller", "no second caller: name one by OTHER_KEY or `callers.other_key`")
        return
    if other_key == api.key:
        yield not_applicable("other-caller", "both callers have the same key")
        return
    key, marker = new_key(), new_marker()
    first = api.create(key, marker)
    other = api.create(key, marker, caller_key=other_key)
    if other.status in (401, 403):
        yield not_applicable("other-caller", f"the second caller's key was answered {other}")
        return
    is_own = other.is_success and api.id_of(other) not in (None, api.id_of(first))
    seen = f"answered {other}" + ("" if is_own else ", with the first caller's resource" if other.is_success else "")
    yield judged("other-caller", is_own, seen)
