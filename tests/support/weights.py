"""What a test needs: the slow tests need the most, and parallel processes begin with them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import pytest

# The fixtures that install a second virtual environment.
ENVIRONMENTS = frozenset(
    f"{name}_environment" for name in ("sam", "bench", "localstack", "checkov", "openapi", "notebook")
)


class Weight(IntEnum):
    """The heaviest thing that a test needs, heaviest first. PostgreSQL is light: it starts in a second."""

    STACK = 0
    TOOL = 1
    BROKER = 2
    LIGHT = 3


def weight_of(item: pytest.Item) -> Weight:
    """Return the weight of one test, by its marks and fixtures."""
    marks = {mark.name for mark in item.iter_markers()}
    fixtures = set(getattr(item, "fixturenames", ()))
    if marks & {"e2e", "localstack"}:
        return Weight.STACK
    if marks & {"sam", "slow", "terraform"} or fixtures & ENVIRONMENTS:
        return Weight.TOOL
    if marks & {"broker", "faults"} or "broker" in fixtures:
        return Weight.BROKER
    return Weight.LIGHT


def heaviest_files_first(items: list[pytest.Item]) -> None:
    """Sort in place. The tests of a file stay together, in their order."""
    weights = _weights_of_files(items)
    items.sort(key=lambda item: weights[item.path])


def _weights_of_files(items: Iterable[pytest.Item]) -> dict[object, Weight]:
    weights: dict[object, Weight] = {}
    for item in items:
        weights[item.path] = min(weight_of(item), weights.get(item.path, Weight.LIGHT))
    return weights
