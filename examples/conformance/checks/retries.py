"""Retries: the same request with the same key."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..api import Answer, Api, new_key, new_marker
from ..counting import made, resources
from ..rules import Finding, judged, not_applicable


def is_same(first: Answer, again: Answer) -> bool:
    """Tell whether two answers have the same status and body."""
    return (first.status, first.body) == (again.status, again.body)


def difference(first: Answer, again: Answer) -> str:
    """Describe how a second answer compares with the first."""
    if first.status != again.status:
        return f"first {first}, then {again}"
    return f"{again} with the same body" if first.body == again.body else f"{again} with another body"


def names_the_same(api: Api, first: Answer, again: Answer) -> bool:
    """Tell whether two answers accept the request with the same status and the same resource."""
    return first.is_success and (first.status, api.id_of(first)) == (again.status, api.id_of(again))


def check_retries(api: Api) -> Iterator[Finding]:
    """Repeat a request that was accepted."""
    key, marker = new_key(), new_marker()
    first, again = api.create(key, marker), api.create(key, marker)
    count = resources(api, [first, again], marker)
    yield judged("retry-same-answer", first.is_success and is_same(first, again), difference(first, again))
    yield judged("retry-one-resource", count == 1, f"{made(count)} after a retry")


def check_same_members(api: Api) -> Iterator[Finding]:
    """Repeat a request in other bytes that say the same."""
    if api.settings.is_form:
        yield not_applicable("same-members", "the request is a form")
        return
    key, marker = new_key(), new_marker()
    first = api.create(key, marker)
    members = json.loads(api.body(marker))
    reordered = json.dumps(dict(reversed(members.items())), indent=2).encode()
    again = api.create(key, marker, content=reordered)
    count = resources(api, [first, again], marker)
    if again.status == 422 and count == 1:
        yield not_applicable("same-members", "a fingerprint of the bytes, which the draft allows: answered 422")
        return
    is_kept = names_the_same(api, first, again) and count == 1
    yield judged("same-members", is_kept, f"{difference(first, again)}; {made(count)}")


def check_failed_requests(api: Api) -> Iterator[Finding]:
    """Repeat a request that failed validation, then correct it."""
    key, marker = new_key(), new_marker()
    reason = "the settings have no request that fails validation"
    if api.settings.invalid:
        first = api.create(key, marker, api.settings.invalid)
        if first.is_refusal:
            yield from _refused(api, key, marker, first)
            return
        reason = f"the request in `request.invalid` was answered {first}"
    for rule_id in ("failed-retry", "corrected-request"):
        yield not_applicable(rule_id, reason)


def _refused(api: Api, key: str, marker: str, first: Answer) -> Iterator[Finding]:
    again = api.create(key, marker, api.settings.invalid)
    count = resources(api, [again], marker)
    seen = f"first {first}, then {again}; {made(count)}"
    yield judged("failed-retry", again.status == first.status and count == 0, seen)
    corrected = api.create(key, marker)
    if corrected.is_refusal:
        reason = f"the key stays with the failed request, which the draft allows: answered {corrected}"
        yield not_applicable("corrected-request", reason)
        return
    count = resources(api, [corrected], marker)
    yield judged("corrected-request", corrected.is_success and count == 1, f"answered {corrected}; {made(count)}")
