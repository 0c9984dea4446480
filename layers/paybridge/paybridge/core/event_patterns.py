"""Patterns by which merchants choose types of events: an exact type, a family such as `payment.*`, or `*`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from paybridge.core.events import PUBLIC_TYPES

EVERYTHING = "*"
# The longest type is much shorter.
PATTERN_CHARACTERS_MAX = 64

FAMILIES = frozenset(f"{type_.partition('.')[0]}.*" for type_ in PUBLIC_TYPES)


def is_pattern(text: str) -> bool:
    """Return whether the text is a pattern that chooses at least one type."""
    return text == EVERYTHING or text in FAMILIES or text in PUBLIC_TYPES


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Return whether one of the patterns chooses events of this type."""
    return not patterns_of(event_type).isdisjoint(patterns)


@cache
def patterns_of(event_type: str) -> frozenset[str]:
    """Return every pattern that chooses this type."""
    return frozenset({EVERYTHING, f"{event_type.partition('.')[0]}.*", event_type})
