"""What the bench finds out, as values: figures with their rounds, and measures made of figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from statistics import median

ROUNDS = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure aims at: at least `value`, or with `at_most` no more than it."""

    value: float
    at_most: bool = False

    def reached(self, figure: float) -> float:
        """The share of the goal that `figure` reaches: 1 and more is good, whichever way the goal points."""
        if self.at_most:
            return self.value / figure if figure else float("inf")
        return figure / self.value

    def met(self, figure: float) -> bool:
        """Whether `figure` is as good as the goal, or better."""
        return figure <= self.value if self.at_most else figure >= self.value

    def text(self) -> str:
        """The goal as it stands beside its figure."""
        return f"{'≤' if self.at_most else '≥'} {number_text(self.value)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity with the value of each round; a rival's stands beside ours for comparison.

    `compared_with` names the figure of ours that a rival is held against, the first one where it is empty. Figures of
    the same `panel` share an axis in the chart; where it is empty, those of the same unit do, rates of all kinds among
    themselves. A detail is left out of the table; the chart and the file have it.
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
        """The figure to quote; the spread says how far to trust it."""
        return median(self.values)


@dataclass(frozen=True, slots=True)
class Measure:
    """The figures of one measure; the first is ours, and rivals are compared with it."""

    key: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)

    def ratio_to(self, rival: Figure) -> float:
        """How many times the rival's figure ours is."""
        ours = next((one for one in self.figures if one.name == rival.compared_with), self.figures[0])
        return ours.median / rival.median


def interleaved(
    say: Say, contenders: Mapping[str, Callable[[], float]], unit: str, rounds: int = ROUNDS
) -> dict[str, tuple[float, ...]]:
    """Runs every contender once a round, so that whatever else the machine does meets all of them alike."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, rounds + 1):
        for name, run in contenders.items():
            value = run()
            values[name].append(value)
            say(f"round {number} of {rounds}: {name} {number_text(value)} {unit}")
    return {name: tuple(found) for name, found in values.items()}


def ratio(name: str, ours: tuple[float, ...], theirs: tuple[float, ...], goal: Goal | None = None) -> Figure:
    """How many times theirs ours is, round by round."""
    return Figure(name, "times", tuple(one / other for one, other in zip(ours, theirs, strict=True)), goal)


def number_text(value: float) -> str:
    """A figure with about three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percentile(values: tuple[float, ...], percent: float) -> float:
    """The value below which `percent` of the values lie, by the nearest rank."""
    rank = ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
