"""Report a load run as text and as a page."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from bench.open_model import PERCENTILES, Recording, percentiles
from bench.settled import Verdict
from local.settings import PROJECT

REPORT_FILE = PROJECT / "bench" / "results" / "load.html"
HEADINGS = ("operation", "answered", *(f"p{percent:g}" if percent < 100 else "longest" for percent in PERCENTILES))


@dataclass(frozen=True, slots=True)
class LoadRun:
    """A run: the requested rate, the seconds of arrivals, the answers, and the verdict on the payments."""

    rate: float
    seconds: float
    recording: Recording
    verdict: Verdict

    @property
    def is_faulty(self) -> bool:
        """Return whether a payment was lost or doubled, a request failed, or a refusal had no Retry-After."""
        return bool(self.verdict.faults() or self.recording.failures or self.recording.silent_refusals)


def write(run: LoadRun, environment: Any) -> str:
    """Write the page, our figures above Locust's report, and return the text for the terminal."""
    # Locust is installed in a separate environment. Reading figures must work without it.
    from locust.html import get_html_report

    REPORT_FILE.parent.mkdir(parents=True, exist_ok=True)
    REPORT_FILE.write_text(with_figures(get_html_report(environment, show_download_link=False), run), encoding="utf-8")
    return f"{text(run)}\n\nReport: {REPORT_FILE.relative_to(PROJECT)}"


def text(run: LoadRun) -> str:
    """Return the figures as a table and some lines."""
    rows = [HEADINGS, *_rows(run, "since_due")]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines = [f"{name + ':':<29} {value}" for name, value in _facts(run).items()]
    return "\n".join(["Latency since each request was due:", *table, "", *lines])


def with_figures(page: str, run: LoadRun) -> str:
    """Return Locust's page with our figures at its top."""
    facts = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in _facts(run).items()
    )
    section = (
        "<section style='font-family:sans-serif;padding:1em 2em;background:#fff;color:#111'><h1>Load</h1>"
        f"<h2>Latency since each request was due</h2>{_table(run, 'since_due')}"
        "<h2>Latency since it was first sent, as a closed generator would report it</h2>"
        f"{_table(run, 'since_sent')}<h2>The run</h2><table>{facts}</table></section>"
    )
    before, body, after = page.partition("<body>")
    assert body, "Locust's report has no body to put the figures into"
    return f"{before}{body}{section}{after}"


def _rows(run: LoadRun, kind: str) -> list[tuple[str, ...]]:
    rows = []
    for operation, latencies in sorted(run.recording.latencies.items()):
        values = getattr(latencies, kind)
        figures = percentiles(values)
        rows.append((operation, f"{len(values):,}", *(_milliseconds(figures[percent]) for percent in PERCENTILES)))
    return rows


def _facts(run: LoadRun) -> dict[str, str]:
    recording, verdict = run.recording, run.verdict
    answers = ", ".join(f"{count:,} of {status or 'no answer'}" for status, count in sorted(recording.statuses.items()))
    faults = ", ".join(f"{len(ids):,} {kind}" for kind, ids in verdict.faults().items())
    return {
        "asked for": f"{run.rate:g} a second",
        "arrived": f"{recording.arrived:,} in {run.seconds:.1f} s, {recording.arrived / run.seconds:.1f} a second",
        "delayed by the generator": f"{recording.held_up:,}",
        "answers": answers,
        "refused without Retry-After": f"{recording.silent_refusals:,}",
        "failed for good": ", ".join(f"{count:,} x {what}" for what, count in recording.failures.items()) or "none",
        "payments accepted": f"{len(recording.accepted):,}",
        "their statuses": ", ".join(f"{count:,} {status}" for status, count in verdict.statuses.items()),
        "lost, doubled or undelivered": faults or "none",
    }


def _table(run: LoadRun, kind: str) -> str:
    rows = [HEADINGS, *_rows(run, kind)]
    cells = [
        "".join(f"<td style='padding:0 1em;text-align:right'>{html.escape(cell)}</td>" for cell in row) for row in rows
    ]
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"
