"""Draw the figures of each measure as bars in a small SVG. The same results give the same bytes.

No plotting library: text stays text, the colours follow the reader's light or dark mode, and a chart has two or three
kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from bench.report import Run, verdict
from bench.results import Figure, Measure, number_text

# In pixels. Labels end where the bars begin. Values stand to the right of the longest bar.
WIDTH, BARS_LEFT, BARS_RIGHT, VALUES_LEFT = 850, 316, 600, 614
TOP, ROW, BAR, PANEL_GAP, BOTTOM = 40, 30, 14, 14, 12

_STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11px; fill: #59636e }
  .ours { fill: #0969da } .rival { fill: #9aa4af } .axis { stroke: #9aa4af }
  .spread { stroke: #1f2328; stroke-width: 1.5 } .goal { stroke: #cf222e; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .ours { fill: #4493f8 } .rival { fill: #656c76 }
    .spread { stroke: #f0f6fc } .goal { stroke: #f85149 }
  }
"""


def write(run: Run, folder: Path) -> list[Path]:
    """Write `<key>.svg` for each measure into the folder and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for measure in run.measures:
        paths.append(folder / f"{measure.key}.svg")
        paths[-1].write_text(draw(measure), encoding="utf-8")
    return paths


def draw(measure: Measure) -> str:
    """Draw one measure. Bars in a panel share a scale. A red line marks the goal, a thin line the spread."""
    panels = _panels(measure)
    height = TOP + ROW * len(measure.figures) + PANEL_GAP * (len(panels) - 1) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(measure.key)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{BARS_LEFT}" y="22">{escape(measure.key)}</text>',
    ]
    y = TOP
    for figures in panels:
        parts.extend(_panel(figures, y))
        y += ROW * len(figures) + PANEL_GAP
    return "\n".join([*parts, "</svg>", ""])


def _panels(measure: Measure) -> list[list[Figure]]:
    panels: dict[str, list[Figure]] = {}
    for figure in measure.figures:
        unit = "/s" if figure.unit.endswith("/s") else figure.unit
        panels.setdefault(figure.panel or unit, []).append(figure)
    return list(panels.values())


def _panel(figures: list[Figure], top: int) -> Iterator[str]:
    scale = (BARS_RIGHT - BARS_LEFT) / (max(_furthest(figure) for figure in figures) or 1.0)
    bottom = top + ROW * len(figures)
    for number, figure in enumerate(figures):
        yield from _bar(figure, top + ROW * number, scale)
    yield f'<line class="axis" x1="{BARS_LEFT}" y1="{top}" x2="{BARS_LEFT}" y2="{bottom}"/>'


def _furthest(figure: Figure) -> float:
    return max(*figure.values, figure.median, figure.goal.value if figure.goal is not None else 0.0)


def _bar(figure: Figure, top: int, scale: float) -> Iterator[str]:
    def x(value: float) -> str:
        return f"{BARS_LEFT + value * scale:.1f}"

    middle, bar_top = top + ROW // 2, top + (ROW - BAR) // 2
    kind = "rival" if figure.is_rival else "ours"
    yield f'<text x="{BARS_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(figure.name)}</text>'
    yield (
        f'<rect class="{kind}" x="{BARS_LEFT}" y="{bar_top}" width="{figure.median * scale:.1f}" height="{BAR}" '
        'rx="2"/>'
    )
    if len(figure.values) > 1:
        lowest, highest = x(min(figure.values)), x(max(figure.values))
        yield f'<line class="spread" x1="{lowest}" y1="{middle}" x2="{highest}" y2="{middle}"/>'
    value = f"{number_text(figure.median)} {figure.unit}"
    yield f'<text x="{VALUES_LEFT}" y="{middle + 4 - (5 if figure.goal else 0)}">{escape(value)}</text>'
    if figure.goal is not None:
        goal = x(figure.goal.value)
        yield f'<line class="goal" x1="{goal}" y1="{bar_top - 4}" x2="{goal}" y2="{bar_top + BAR + 4}"/>'
        text = f"goal {figure.goal.text()}: {verdict(figure)}"
        yield f'<text class="small" x="{VALUES_LEFT}" y="{middle + 12}">{escape(text)}</text>'
