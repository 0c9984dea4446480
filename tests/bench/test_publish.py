"""The charts, and how they and the table get into the documentation."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import charts, publish
from bench.publish import BEGIN, END
from bench.report import Run
from bench.results import Figure, Goal, Measure
from local.errors import LocalError

MACHINE = {"cores": 2, "processor": "Z80", "memory_gib": 24, "system": "Linux x86_64"}
MEASURE = Measure(
    "create",
    [
        Figure("POST <payments>", "payments/s", (1000.0, 1200.0, 1100.0), Goal(1500.0)),
        Figure("pgbench", "transactions/s", (2000.0, 2000.0, 2200.0), is_rival=True),
        Figure("ratio", "times", (0.5,)),
    ],
)
RUN = Run("2026-01-02T03:04:05Z", "abc1234", MACHINE, {"python": "3.11"}, [MEASURE])
SVG = "{http://www.w3.org/2000/svg}"


def drawn() -> ElementTree.Element:
    return ElementTree.fromstring(charts.draw(MEASURE))  # noqa: S314 -- the test has just written it.


class TestDraw:
    def test_the_same_results_give_the_same_bytes(self) -> None:
        assert charts.draw(MEASURE) == charts.draw(MEASURE)

    def test_bars_of_one_unit_share_a_scale_and_end_inside(self) -> None:
        bars = drawn().findall(f"{SVG}rect")
        ours, rival, ratio = (float(bar.attrib["width"]) for bar in bars)
        assert ours / rival == pytest.approx(1100 / 2000, abs=0.01)
        assert ratio == charts.BARS_RIGHT - charts.BARS_LEFT
        assert max(ours, rival) <= charts.BARS_RIGHT - charts.BARS_LEFT

    def test_ours_and_rivals_differ_and_the_goal_is_marked(self) -> None:
        chart = drawn()
        assert [bar.attrib["class"] for bar in chart.findall(f"{SVG}rect")] == ["ours", "rival", "ours"]
        assert len([line for line in chart.findall(f"{SVG}line") if line.attrib["class"] == "goal"]) == 1

    def test_names_and_verdicts_are_text(self) -> None:
        texts = [text.text for text in drawn().findall(f"{SVG}text")]
        assert {"POST <payments>", "1,100 payments/s", "goal ≥ 1,500: not met"} <= set(texts)


class TestPublish:
    def test_only_the_text_between_the_markers_is_replaced(self, tmp_path: Path) -> None:
        document = tmp_path / "performance.md"
        document.write_text(f"Before\n\n{BEGIN}\nold\n{END}\n\nAfter\n", encoding="utf-8")
        publish.publish(RUN, document)
        text = document.read_text(encoding="utf-8")
        assert text.startswith(f"Before\n\n{BEGIN}\n\n| measure")
        assert text.endswith(f"![create](charts/create.svg)\n\n{END}\n\nAfter\n")
        assert "old" not in text
        assert (tmp_path / "charts" / "create.svg").read_text(encoding="utf-8") == charts.draw(MEASURE)

    def test_a_second_time_changes_nothing(self, tmp_path: Path) -> None:
        document = tmp_path / "performance.md"
        document.write_text(f"{BEGIN}{END}", encoding="utf-8")
        publish.publish(RUN, document)
        first = document.read_text(encoding="utf-8")
        publish.publish(RUN, document)
        assert document.read_text(encoding="utf-8") == first

    def test_a_document_without_a_place_is_left_alone(self, tmp_path: Path) -> None:
        document = tmp_path / "performance.md"
        document.write_text("Prose", encoding="utf-8")
        with pytest.raises(LocalError, match="no place"):
            publish.publish(RUN, document)
        assert document.read_text(encoding="utf-8") == "Prose"

    def test_the_documentation_has_the_place(self) -> None:
        text = publish.DOCUMENT.read_text(encoding="utf-8")
        assert 0 <= text.find(BEGIN) < text.find(END)
