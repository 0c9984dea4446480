"""The command: runs the measures one after the other and never fails on a figure."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from bench import consume, create, end_to_end, latency, relay, report
from bench.results import Measure, Say
from bench.servers import Servers
from local.errors import LocalError
from local.progress import use_utf8
from local.settings import PROJECT

MEASURES: dict[str, Callable[[Servers], Measure]] = {
    "create": create.measure,
    "relay": relay.measure,
    "consume": consume.measure,
    # An idle stack is the one that has just started, so the load comes after it.
    "latency": latency.measure,
    "end_to_end": end_to_end.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one measure or all; fails only when something cannot run at all."""
    use_utf8()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Paybridge beside its rivals.")
    parser.add_argument("only", nargs="?", choices=list(MEASURES), metavar="MEASURE", help=", ".join(MEASURES))
    only = parser.parse_args(arguments).only
    try:
        _run([only] if only else list(MEASURES))
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(keys: Sequence[str]) -> None:
    say = _say_since(time.monotonic())
    measures = []
    with Servers(say) as servers:
        for key in keys:
            say(f"--- {key}")
            measures.append(MEASURES[key](servers))
        path = report.write(measures, servers.versions())
    print(f"\n{report.table(measures)}\n\nAll rounds, machine and versions: {path.relative_to(PROJECT)}", flush=True)


def _say_since(started: float) -> Say:
    def say(text: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {text}", flush=True)

    return say
