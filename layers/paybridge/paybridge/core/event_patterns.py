"""Patterns by which merchants choose types of events: an exact type, a family such as `payment.*`, or `*`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from paybridge.core.events import PUBLIC_TYPES, PUBLISHED_TYPES

EVERYTHING = "*"
# The longest type is much shorter.
PATTERN_CHARACTERS_MAX = 64

FAMILIES = frozenset(f"{type_.partition('.')[0]}.*" for type_ in PUBLIC_TYPES)


def is_pattern(text: str) -> bool:
    """Return whether the text is a pattern that chooses at least one type."""
    return text == EVERYTHING or text in FAMILIES or text in PUBLIC_TYPES


def is_notify_pattern(text: str) -> bool:
    """Return whether the text is a pattern that chooses at least one type that e-mail and SMS report."""
    return text == EVERYTHING or any(text in patterns_of(type_) for type_ in PUBLISHED_TYPES)


def matching_pattern(patterns: Iterable[str], event_type: str) -> str | None:
    """Return the most exact of the patterns that chooses events of this type, None if none does."""
    return max(patterns_of(event_type).intersection(patterns), key=len, default=None)


def matches(patterns: Iterable[str], event_type: str) -> bool:
    """Return whether one of the patterns chooses events of this type."""
    return not patterns_of(event_type).isdisjoint(patterns)


@cache
def patterns_of(event_type: str) -> frozenset[str]:
    """Return every pattern that chooses this type."""
    return frozenset({EVERYTHING, f"{event_type.partition('.')[0]}.*", event_type})
