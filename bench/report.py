"""Print, write and read the results of the bench."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench.results import Figure, Goal, Measure, number_text
from local.settings import PROJECT

RESULTS_FILE = PROJECT / "bench" / "results" / "latest.json"
PACKAGES = ("aio-pika", "aiohttp", "fastapi", "mangum", "orjson", "pg8000", "sqlalchemy", "uvloop")
# These are in a separate environment. Its lock pins them.
RIVALS = ("asyncpg", "celery", "faststream")
RIVALS_LOCK = PROJECT / "requirements" / "bench.lock"
HEADINGS = ("measure", "figure", "median", "lowest to highest", "goal", "", "ours is")


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the bench: its time (UTC), commit, machine, versions and measures."""

    at: str
    commit: str
    machine: dict[str, Any]
    versions: dict[str, str]
    measures: list[Measure]


def this_run(measures: list[Measure], servers: dict[str, str]) -> Run:
    """Return the run that has just ended. `servers` are the versions of the servers."""
    packages = {name: version(name) for name in PACKAGES} | _rival_versions()
    versions = {"python": platform.python_version(), **servers, **packages}
    return Run(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), _commit(), machine(), versions, measures)


def with_earlier(run: Run, order: Sequence[str], path: Path = RESULTS_FILE) -> Run:
    """Return the run, and in this order what earlier runs of its commit have measured on this machine and it has not.

    So measures that run only on request are published together with the others.
    """
    try:
        earlier = read(path)
    except FileNotFoundError:
        return run
    if earlier.commit != run.commit or _hardware(earlier) != _hardware(run):
        return run
    measures = {measure.key: measure for measure in [*earlier.measures, *run.measures] if measure.key in order}
    return replace(
        run,
        versions={**earlier.versions, **run.versions},
        measures=[measures[key] for key in order if key in measures],
    )


def table(measures: Sequence[Measure]) -> str:
    """Return the figures as a Markdown table with aligned columns, followed by the notes."""
    shown = [(measure, figure) for measure in measures for figure in measure.figures if not figure.is_detail]
    rows = [HEADINGS, *(_row(measure, figure) for measure, figure in shown)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    notes = [f"- {measure.key}: {note}" for measure in measures for note in measure.notes]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def write(run: Run, path: Path = RESULTS_FILE) -> Path:
    """Write the run as JSON to `path` and return the path."""
    content = {
        "at": run.at,
        "commit": run.commit,
        "machine": run.machine,
        "versions": run.versions,
        "measures": {measure.key: _document(measure) for measure in run.measures},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read(path: Path = RESULTS_FILE) -> Run:
    """Read the run that `write` has written. Raises FileNotFoundError without one."""
    content = json.loads(path.read_text(encoding="utf-8"))
    measures = [
        Measure(key, [_figure_of(document) for document in found["figures"]], found["notes"])
        for key, found in content["measures"].items()
    ]
    return Run(content["at"], content["commit"], content["machine"], content["versions"], measures)


def machine() -> dict[str, Any]:
    """Return the properties of this machine that matter to the figures."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _hardware(run: Run) -> dict[str, Any]:
    return {name: value for name, value in run.machine.items() if name != "load_average"}


def spread_text(figure: Figure) -> str:
    """Return the lowest and the highest round, or an empty text for a single round."""
    lowest, highest = number_text(min(figure.values)), number_text(max(figure.values))
    return f"{lowest} to {highest}" if len(figure.values) > 1 else ""


def verdict(figure: Figure) -> str:
    """Return whether the figure meets its goal, or an empty text without a goal."""
    if figure.goal is None:
        return ""
    return "met" if figure.goal.met(figure.median) else "not met"


def _row(measure: Measure, figure: Figure) -> tuple[str, ...]:
    return (
        measure.key,
        figure.name,
        f"{number_text(figure.median)} {figure.unit}",
        spread_text(figure),
        figure.goal.text() if figure.goal is not None else "",
        verdict(figure),
        f"{measure.ratio_to(figure):.2f} x" if figure.is_rival else "",
    )


def _document(measure: Measure) -> dict[str, Any]:
    """Return all figures, and as separate keys the medians with a goal, such as `ratio_to_pgbench`."""
    figures = [_figure_document(measure, figure) for figure in measure.figures]
    goals = {_key(figure.name): figure.median for figure in measure.figures if figure.goal is not None}
    return {**goals, "figures": figures, "notes": measure.notes}


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _figure_document(measure: Measure, figure: Figure) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": figure.name,
        "unit": figure.unit,
        "median": figure.median,
        "lowest": min(figure.values),
        "highest": max(figure.values),
        "values": list(figure.values),
        "panel": figure.panel,
        "is_detail": figure.is_detail,
    }
    if figure.goal is not None:
        document["goal"] = figure.goal.value
        document["goal_is_at_most"] = figure.goal.at_most
        document["met"] = figure.goal.met(figure.median)
        document["share_of_goal"] = figure.goal.reached(figure.median)
    if figure.is_rival:
        document["compared_with"] = figure.compared_with
        document["ratio_of_ours"] = measure.ratio_to(figure)
    return document


def _figure_of(document: dict[str, Any]) -> Figure:
    return Figure(
        document["name"],
        document["unit"],
        tuple(document["values"]),
        Goal(document["goal"], document["goal_is_at_most"]) if "goal" in document else None,
        is_rival="ratio_of_ours" in document,
        compared_with=document.get("compared_with", ""),
        panel=document["panel"],
        is_detail=document["is_detail"],
    )


def _rival_versions() -> dict[str, str]:
    pinned = re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==(\S+)", RIVALS_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: number for name, number in pinned if name in RIVALS}


def _processor() -> str:
    """Return the processor's name, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _commit() -> str:
    git = ["git", "rev-parse", "--short", "HEAD"]
    try:
        output = subprocess.run(git, cwd=PROJECT, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    return output.strip()
