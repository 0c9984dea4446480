"""Draw figures of days as bars: blocks for a terminal, or a small SVG.

No plotting library: text stays text, the colours follow the reader's light or dark mode, and the same figures give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any
from xml.sax.saxutils import escape

# Eighths of a character, so that a bar of 20 characters has 160 lengths.
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_BAR_CHARACTERS_MIN = 8
# In pixels. A label stands under the first bar, and under others as far as they do not overlap.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 850, 300, 64, 16, 44, 34
_BAR_PIXELS_MAX, _LABEL_PIXELS = 40, 78

_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .bar { fill: #0969da } .axis { stroke: #9aa4af }
  @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .bar { fill: #4493f8 } .axis { stroke: #656c76 } }
"""


class Measure(StrEnum):
    """What a chart shows of each day: a member of its view."""

    VOLUME = "volume"
    PAYMENTS = "payments"
    FAILURE_RATE = "failure-rate"
    P50 = "p50"
    P95 = "p95"
    REFUNDED = "refunded"
    WEBHOOK_SUCCESS = "webhook-success"

    @property
    def member(self) -> str:
        """Return the name of the member."""
        return _MEMBERS[self]

    def heading(self, currency: str) -> str:
        """Return the words above a chart in this currency."""
        return _TITLES[self].format(currency=currency)


_MEMBERS = {
    Measure.VOLUME: "volume",
    Measure.PAYMENTS: "payments",
    Measure.FAILURE_RATE: "failure_rate",
    Measure.P50: "processing_p50_seconds",
    Measure.P95: "processing_p95_seconds",
    Measure.REFUNDED: "refunded",
    Measure.WEBHOOK_SUCCESS: "webhook_success_rate",
}
_TITLES = {
    Measure.VOLUME: "Captured each day, {currency}",
    Measure.PAYMENTS: "Payments created each day, {currency}",
    Measure.FAILURE_RATE: "Share of payments that failed, {currency}",
    Measure.P50: "Seconds to the outcome, median, {currency}",
    Measure.P95: "Seconds to the outcome, 95th percentile, {currency}",
    Measure.REFUNDED: "Refunded each day, {currency}",
    Measure.WEBHOOK_SUCCESS: "Share of webhooks that arrived, {currency}",
}


def text_lines(views: Sequence[Mapping[str, Any]], measure: Measure, currency: str, characters: int) -> list[str]:
    """Return a chart of at most so many characters in a line: a bar for each day, the value behind it."""
    values = [_value(view, measure) for view in views]
    shown = ["-" if value is None else str(view[measure.member]) for view, value in zip(views, values, strict=True)]
    widest = max(map(len, shown), default=0)
    room = max(_BAR_CHARACTERS_MIN, characters - len("2026-01-31  ") - widest - 1)
    highest = max((value for value in values if value is not None), default=Decimal(0)) or Decimal(1)
    lines = [measure.heading(currency)]
    for view, value, text in zip(views, values, shown, strict=True):
        lines.append(f"{view['day']}  {_bar((value or Decimal(0)) / highest, room)} {text}")
    return lines


def svg(views: Sequence[Mapping[str, Any]], measure: Measure, currency: str) -> str:
    """Return a chart as an SVG document: a bar for each day, its day and value as a tooltip."""
    values = [_value(view, measure) for view in views]
    highest = max((value for value in values if value is not None), default=Decimal(0))
    title = escape(measure.heading(currency))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{title}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="24">{title}</text>',
        f'<text x="{LEFT - 8}" y="{TOP + 4}" text-anchor="end">{_plain(highest)}</text>',
        f'<text x="{LEFT - 8}" y="{HEIGHT - BOTTOM}" text-anchor="end">0</text>',
        *_columns(views, values, highest, measure),
        f'<line class="axis" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{HEIGHT - BOTTOM}"/>',
    ]
    return "\n".join([*parts, "</svg>", ""])


def _columns(
    views: Sequence[Mapping[str, Any]], values: Sequence[Decimal | None], highest: Decimal, measure: Measure
) -> Iterator[str]:
    step = Decimal(WIDTH - LEFT - RIGHT) / max(1, len(views))
    width = min(Decimal(_BAR_PIXELS_MAX), step * 4 / 5)
    every = max(1, -(-_LABEL_PIXELS // max(1, int(step))))
    base = HEIGHT - BOTTOM
    for number, (view, value) in enumerate(zip(views, values, strict=True)):
        x = LEFT + step * number + (step - width) / 2
        if value is not None and highest:
            height = (value / highest) * (base - TOP)
            text = escape(f"{view['day']}: {view[measure.member]}")
            yield (
                f'<rect class="bar" x="{x:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}">'
                f"<title>{text}</title></rect>"
            )
        if number % every == 0:
            middle = x + width / 2
            yield f'<text x="{middle:.1f}" y="{base + 18}" text-anchor="middle">{escape(str(view["day"]))}</text>'


def _value(view: Mapping[str, Any], measure: Measure) -> Decimal | None:
    value = view[measure.member]
    return None if value is None else Decimal(value)


def _plain(value: Decimal) -> str:
    """Return a value without needless zeros and without an exponent."""
    return f"{value.normalize():f}" if value else "0"


def _bar(share: Decimal, characters: int) -> str:
    eighths = int(share * characters * 8)
    part = _EIGHTHS[eighths % 8] if eighths % 8 else ""
    return (_FULL * (eighths // 8) + part).ljust(characters)
