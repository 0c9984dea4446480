"""`python -m bench.publish`: write the table and the charts of the last run into the documentation.

Usually run as `make bench-docs`. Only this writes between the two markers of `docs/developers/performance.md`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bench import charts, report
from bench.report import Run
from local.errors import LocalError
from local.servers.progress import use_utf8
from local.settings import PROJECT

DOCUMENT = PROJECT / "docs" / "developers" / "performance.md"
CHARTS = "charts"
BEGIN, END = "<!-- figures: written by `make bench-docs` -->", "<!-- end of figures -->"
_BLOCK = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def main() -> int:
    """Publish `bench/results/latest.json`. Print what is missing on standard error."""
    use_utf8()
    try:
        publish(_last_run(), DOCUMENT)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{DOCUMENT.relative_to(PROJECT)} and its charts show the run of {_last_run().at}.")
    return 0


def publish(run: Run, document: Path) -> None:
    """Replace the text between the markers, and the charts. Raises LocalError without the markers."""
    text = document.read_text(encoding="utf-8")
    if not _BLOCK.search(text):
        raise LocalError(f"{document.name} has no place for the figures: add the markers {BEGIN} and {END}.")
    charts.write(run, document.parent / CHARTS)
    document.write_text(_BLOCK.sub(lambda _: block(run), text, count=1), encoding="utf-8")


def block(run: Run) -> str:
    """Return the markers with the table, the origin and the charts between them."""
    images = [f"![{measure.key}]({CHARTS}/{measure.key}.svg)" for measure in run.measures]
    return "\n\n".join([BEGIN, report.table(run.measures), origin(run), *images, END])


def origin(run: Run) -> str:
    """Return a paragraph on when and where the run took place."""
    machine = run.machine
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    return (
        f"One run of {run.at} at commit {run.commit}: {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, {machine['system']}; {versions}."
    )


def _last_run() -> Run:
    try:
        return report.read()
    except FileNotFoundError:
        raise LocalError("There is no run to publish: run `make bench` first.") from None


if __name__ == "__main__":
    raise SystemExit(main())
