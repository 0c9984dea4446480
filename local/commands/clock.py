"""`paybridge clock`: let time pass in the local stack."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer

from local.clock import client
from local.settings import LocalSettings
from paybridge.cli.arguments import parse_duration
from paybridge.cli.output import AsJson, print_json, print_lines
from paybridge.cli.session import started

app = typer.Typer(help="Let time pass in the local stack.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Let time pass in the local stack."""
    # Without a callback, Typer makes the only command of a group the group itself.


@app.command()
def advance(
    context: typer.Context,
    duration: Annotated[Any, typer.Argument(parser=parse_duration, metavar="DURATION", help="Such as 75h, 7d or 90s.")],
    json: AsJson = False,
) -> None:
    """Let this time pass, with everything that is due meanwhile. Return once the stack is at rest."""
    started(context)
    answer = client.advance(_api_url(), duration.total_seconds(), _show_progress)
    if json:
        print_json(answer)
    else:
        print_lines(_advanced(answer))


def _api_url() -> str:
    return LocalSettings.load().as_running().api_url


def _show_progress(now: str, to: str, stops: int) -> None:
    print(f"at {now} of {to}, after {_count(stops)}", file=sys.stderr, flush=True)


def _advanced(answer: Mapping[str, Any]) -> Iterable[str]:
    ahead = timedelta(seconds=round(answer["ahead_seconds"]))
    yield f"The stack is at {answer['now']}, {ahead} ahead, after {_count(answer['stops_total'])}."
    if not answer["settled"]:
        yield "It was still at work after one of them: a receiver hangs, or a part is down (`make status`)."


def _count(stops: int) -> str:
    return "1 stop" if stops == 1 else f"{stops} stops"
