"""Count what requests have made."""

from __future__ import annotations

from collections.abc import Sequence

from .api import Answer, Api


def made(count: int) -> str:
    """Describe a number of resources."""
    return f"{count} resource{'' if count == 1 else 's'}"


def resources(api: Api, answers: Sequence[Answer], marker: str) -> int:
    """Return how many resources there are: those listed with the marker, or the different ids in the answers."""
    ids = {api.id_of(answer) for answer in answers if answer.is_success} - {None}
    return max(len(ids), api.count(marker) or 0)
