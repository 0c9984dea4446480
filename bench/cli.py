"""Run the measures one after the other. Fail if something is lost or broken, never because of a figure."""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from bench import (
    archive,
    audit,
    charts,
    cold,
    consume,
    consume_slow,
    create,
    end_to_end,
    fan_out,
    footprint,
    growth,
    latency,
    ledger,
    rebuild,
    reconcile,
    refund,
    relay,
    relay_kept,
    report,
    screen,
    shards,
)
from bench.results import Measure, Say
from bench.servers import Servers
from local.errors import LocalError
from local.servers.progress import use_utf8
from local.settings import PROJECT

# In this order: `latency` needs a stack that has just started, so the load comes after it.
MEASURES: dict[str, Callable[[Servers], Measure]] = {
    "create": create.measure,
    "relay": relay.measure,
    "relay_kept": relay_kept.measure,
    "consume": consume.measure,
    "refund": refund.measure,
    "consume_slow": consume_slow.measure,
    "fan_out": fan_out.measure,
    "cold": cold.measure,
    "screen": screen.measure,
    "ledger": ledger.measure,
    "growth": growth.measure,
    "archive": archive.measure,
    "latency": latency.measure,
    "end_to_end": end_to_end.measure,
    "footprint": footprint.measure,
    "audit": audit.measure,
    "rebuild": rebuild.measure,
    "reconcile": reconcile.measure,
    "shards": shards.measure,
}
# A whole run should take little more than ten minutes, so these run only on request.
ON_REQUEST = frozenset({"audit", "rebuild", "reconcile", "shards"})


def main(arguments: list[str] | None = None) -> int:
    """Run the named measures, or all. Return 1 if a measure cannot run, or a payment or message is lost."""
    use_utf8()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Paybridge and its rivals.")
    parser.add_argument("only", nargs="*", metavar="MEASURE", help=", ".join(MEASURES))
    try:
        failed = _run(chosen(parser.parse_args(arguments).only))
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if failed else 0


def chosen(names: Sequence[str]) -> list[str]:
    """Return the keys of the named measures, in the order in which they run. Without names return all by default.

    A name may hold several, separated by commas. Raises LocalError for an unknown measure.
    """
    wanted = [name for given in names for name in re.split(r"[,\s]+", given) if name]
    for name in wanted:
        if name not in MEASURES:
            raise LocalError(f"There is no measure {name!r}: choose among {', '.join(MEASURES)}.")
    return [key for key in MEASURES if key in wanted or not (wanted or key in ON_REQUEST)]


def _run(keys: Sequence[str]) -> list[str]:
    """Run the measures, print and write their figures, and return the keys of those that failed."""
    say = _say_since(time.monotonic())
    measures, failed = [], []
    with Servers(say) as servers:
        for number, key in enumerate(keys, 1):
            say(f"--- {key} ({number} of {len(keys)})")
            started = time.monotonic()
            try:
                measures.append(MEASURES[key](servers))
            except LocalError as error:
                print(error, file=sys.stderr)
                failed.append(key)
            except Exception:  # noqa: BLE001 -- a failed measure must not lose the figures of the others.
                traceback.print_exc()
                failed.append(key)
            say(f"{key} took {time.monotonic() - started:.0f} s")
        run = report.with_earlier(report.this_run(measures, servers.versions()), list(MEASURES))
    # A run without figures keeps the results of the last one.
    if measures:
        path = report.write(run)
        charts.write(run, path.parent)
        print(
            f"\n{report.table(measures)}\n\nAll rounds, machine and versions: {path.relative_to(PROJECT)}", flush=True
        )
    if failed:
        print(f"Failed, without figures: {', '.join(failed)}. See the errors above.", file=sys.stderr)
    return failed


def _say_since(started: float) -> Say:
    def say(text: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {text}", flush=True)

    return say
