"""Bars have the lengths of the values, in a terminal and as an SVG."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest

from paybridge.analytics.charts import HEIGHT, WIDTH, Measure, svg, text_lines
from paybridge.analytics.domain import COLUMNS

VALUES = ["100.00", "50.00", None, "0.00"]


def views(values: list[Any], member: str = "volume") -> list[dict[str, Any]]:
    return [{"day": f"2026-03-{number:02}", member: value} for number, value in enumerate(values, 1)]


class TestTextLines:
    def test_bars_share_a_scale_and_fill_the_line(self) -> None:
        title, *lines = text_lines(views(VALUES), Measure.VOLUME, "EUR", 60)
        assert title == "Captured each day, EUR"
        assert [line.count("█") for line in lines] == [41, 20, 0, 0]
        assert [line.split()[-1] for line in lines] == ["100.00", "50.00", "-", "0.00"]
        assert len(lines[0]) == 60

    def test_a_part_of_a_character_is_shown(self) -> None:
        rates = views([Decimal("1.00"), Decimal("0.02")], "failure_rate")
        _, _, line = text_lines(rates, Measure.FAILURE_RATE, "EUR", 25)
        assert "▏" in line

    def test_only_zeros_and_nothing_have_no_bars(self) -> None:
        assert not any("█" in line for line in text_lines(views(["0", "0"]), Measure.VOLUME, "JPY", 40))
        assert text_lines([], Measure.VOLUME, "JPY", 40) == ["Captured each day, JPY"]


class TestSvg:
    def test_bars_have_the_heights_of_the_values(self) -> None:
        root = ElementTree.fromstring(svg(views(VALUES), Measure.VOLUME, "EUR"))  # noqa: S314 -- it is ours.
        bars = [element for element in root if element.tag.endswith("rect")]
        heights = [float(bar.attrib["height"]) for bar in bars]
        assert heights[0] == pytest.approx(2 * heights[1], abs=0.1)
        assert heights[2] == 0
        assert [bar[0].text for bar in bars] == ["2026-03-01: 100.00", "2026-03-02: 50.00", "2026-03-04: 0.00"]

    @pytest.mark.parametrize("days", [0, 1, 30, 367])
    def test_everything_lies_inside(self, days: int) -> None:
        drawn = svg(views(["1.00"] * days), Measure.VOLUME, "EUR")
        positions = [float(x) for x in re.findall(r' x="([-0-9.]+)"', drawn)]
        assert all(0 <= x <= WIDTH for x in positions)
        assert all(0 <= float(y) <= HEIGHT for y in re.findall(r' y="([-0-9.]+)"', drawn))

    def test_the_same_figures_give_the_same_bytes(self) -> None:
        assert svg(views(VALUES), Measure.VOLUME, "EUR") == svg(views(VALUES), Measure.VOLUME, "EUR")


def test_every_measure_is_a_member_of_a_view() -> None:
    assert {measure.member for measure in Measure} <= set(COLUMNS)
    assert all("EUR" in measure.heading("EUR") for measure in Measure)
