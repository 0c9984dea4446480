"""The values of the bench: figures with their rounds, and measures made of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from statistics import median

ROUNDS = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal of a figure: at least `value`, or with `at_most` no more than `value`."""

    value: float
    at_most: bool = False

    def reached(self, figure: float) -> float:
        """Return the share of the goal that `figure` reaches. 1 or more is good for both kinds of goals."""
        if self.at_most:
            return self.value / figure if figure else float("inf")
        return figure / self.value

    def met(self, figure: float) -> bool:
        """Return whether `figure` is as good as the goal, or better."""
        return figure <= self.value if self.at_most else figure >= self.value

    def text(self) -> str:
        """Return the goal as text, such as `≥ 950`."""
        return f"{'≤' if self.at_most else '≥'} {number_text(self.value)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity with the value of each round, either ours or a rival's.

    `compared_with` names our figure that a rival is compared with. The default is the first. Figures of the same
    `panel` share an axis in the chart. Without a panel, figures of the same unit do, and so do all rates. A detail is
    in the chart and in the file, but not in the table.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None
    is_rival: bool = False
    compared_with: str = ""
    panel: str = ""
    is_detail: bool = False

    @property
    def median(self) -> float:
        """Return the median of the rounds, the value to quote."""
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Measure:
    """The figures of a measure. The first is ours."""

    key: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)

    def ratio_to(self, rival: Figure) -> float:
        """Return our figure divided by the rival's."""
        ours = next((figure for figure in self.figures if figure.name == rival.compared_with), self.figures[0])
        return ours.median / rival.median


def interleaved(
    say: Say, contenders: Mapping[str, Callable[[], float]], unit: str, rounds: int = ROUNDS
) -> dict[str, tuple[float, ...]]:
    """Run every contender once a round, so that other work of the machine affects all of them alike."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, run in contenders.items():
            value = run()
            values[name].append(value)
            say(f"round {number} of {rounds}: {name} {number_text(value)} {unit}")
    return {name: tuple(found) for name, found in values.items()}


def ratio(name: str, ours: tuple[float, ...], theirs: tuple[float, ...], goal: Goal | None = None) -> Figure:
    """Return the ratio of our figure to theirs, round by round."""
    return Figure(name, "times", tuple(own / other for own, other in zip(ours, theirs, strict=True)), goal)


def number_text(value: float) -> str:
    """Return a number with about three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: tuple[float, ...], percent: float) -> float:
    """Return the percentile of the values by nearest rank."""
    rank = ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
