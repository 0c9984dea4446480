"""Reuse: a key with another payload."""

from __future__ import annotations

from collections.abc import Iterator

from ..api import Api, new_key, new_marker
from ..counting import made, resources
from ..links import leads_somewhere
from ..rules import Finding, judged, not_applicable
from .retries import difference, names_the_same


def check_reuse(api: Api) -> Iterator[Finding]:
    """Send another valid request with the key of an earlier one, then the earlier one again."""
    key, marker = new_key(), new_marker()
    first = api.create(key, marker)
    other = api.create(key, marker, api.settings.changed)
    count = resources(api, [first, other], marker)
    yield judged("reused-key-fails", other.is_refusal and count == 1, f"answered {other}; {made(count)}")
    if not other.is_refusal:
        for rule_id in ("reused-key-422", "reused-key-link", "original-kept"):
            yield not_applicable(rule_id, f"a key with another payload was answered {other}")
        return
    api.errors.append(other)
    yield judged("reused-key-422", other.status == 422, f"answered {other}")
    yield judged("reused-key-link", *leads_somewhere(api, other))
    again = api.create(key, marker)
    yield judged("original-kept", names_the_same(api, first, again), difference(first, again))
