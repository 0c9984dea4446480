"""What the bench prints and writes down."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench.results import Figure, Measure, number_text
from local.settings import PROJECT

RESULTS_FILE = PROJECT / "bench" / "results" / "latest.json"
PACKAGES = ("aio-pika", "aiohttp", "fastapi", "mangum", "pg8000", "sqlalchemy")
HEADINGS = ("measure", "figure", "median", "lowest to highest", "goal", "of goal", "ours is")


def table(measures: Sequence[Measure]) -> str:
    """The figures as a Markdown table with aligned columns."""
    rows = [HEADINGS, *(_row(measure, figure) for measure in measures for figure in measure.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"{measure.key}: {note}" for measure in measures for note in measure.notes]
    return "\n".join([*lines, *notes])


def write(measures: Sequence[Measure], servers: dict[str, str]) -> Path:
    """Writes the figures with the machine and the versions to `bench/results/latest.json`, and returns that path."""
    content = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **servers, **{name: version(name) for name in PACKAGES}},
        "measures": {measure.key: _document(measure) for measure in measures},
    }
    RESULTS_FILE.parent.mkdir(parents=True, exist_ok=True)
    RESULTS_FILE.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return RESULTS_FILE


def machine() -> dict[str, Any]:
    """The machine as far as it matters to the figures."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _row(measure: Measure, figure: Figure) -> tuple[str, ...]:
    goal, reached = "", ""
    if figure.goal is not None:
        goal = f"{'≤' if figure.goal.at_most else '≥'} {number_text(figure.goal.value)}"
        reached = f"{figure.goal.reached(figure.median):.0%}"
    return (
        measure.key,
        figure.name,
        f"{number_text(figure.median)} {figure.unit}",
        f"{number_text(min(figure.values))} to {number_text(max(figure.values))}",
        goal,
        reached,
        f"{measure.ratio_to(figure):.2f} x" if figure.is_rival else "",
    )


def _document(measure: Measure) -> dict[str, Any]:
    return {"figures": [_figure_document(measure, figure) for figure in measure.figures], "notes": measure.notes}


def _figure_document(measure: Measure, figure: Figure) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": figure.name,
        "unit": figure.unit,
        "median": figure.median,
        "values": list(figure.values),
    }
    if figure.goal is not None:
        document["goal"] = figure.goal.value
        document["share_of_goal"] = figure.goal.reached(figure.median)
    if figure.is_rival:
        document["ratio_of_ours"] = measure.ratio_to(figure)
    return document


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    try:
        output = subprocess.run(git, cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    return output.strip()
