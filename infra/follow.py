"""`paybridge events follow --environment …`: repeat one look in the function `operate`, whose commands must end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from infra.errors import InputMissingError

FOLLOW = ["events", "follow"]
# Half a second, as on the local stack, and the way to AWS and back.
PAUSE_SECONDS = 0.5


def is_endless(command: list[str]) -> bool:
    """Tell whether the command follows events until Ctrl-C."""
    return command[:2] == FOLLOW and "--help" not in command


def follow(run: Callable[[list[str]], tuple[int, str]]) -> int:
    """Print each event once until Ctrl-C, and return the exit status.

    `run` runs `events follow` in the function, with these further arguments. Raises InputMissingError if the first look
    fails. A later one is repeated from the same position until it succeeds, so nothing is missed.
    """
    position, has_more = "", False
    is_failing = False
    try:
        while True:
            exit_code, output = _look(run, position)
            if exit_code and not position:
                print(output, end="", file=sys.stderr)
                return exit_code
            if exit_code and not is_failing:
                print(f"{output.rstrip()} Trying again.", file=sys.stderr)
            is_failing = bool(exit_code)
            if not is_failing:
                position, has_more = _print_events(output)
            if is_failing or not has_more:
                time.sleep(PAUSE_SECONDS)
    except KeyboardInterrupt:
        return 0


def _look(run: Callable[[list[str]], tuple[int, str]], position: str) -> tuple[int, str]:
    """Return exit code and output of a look, or the reason why the function could not be asked."""
    try:
        return run([f"--look={position}"])
    except InputMissingError as error:
        if not position:
            raise
        return 1, str(error)


def _print_events(output: str) -> tuple[str, bool]:
    """Print the events of a look. Return the position of the next one, and whether more events may be there."""
    *events, last = output.splitlines()
    for line in events:
        print(line, flush=True)
    found = json.loads(last)
    return found["look"], found["has_more"]
