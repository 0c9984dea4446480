"""`paybridge verify`: check every invariant of the books, the outbox and the payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from paybridge.cli.output import AsJson, print_json, print_lines
from paybridge.cli.session import started
from paybridge.wiring import verification as verification_wiring

if TYPE_CHECKING:
    from paybridge.verification.verify import Check

DESCRIPTION = """Check every invariant of the books, the outbox and the payments, one line each.

Exit codes: 0 all hold, 1 one does not hold.
"""
Full = Annotated[
    bool, typer.Option("--full", help="Check all seals and payments, which takes a while. Only the newest if absent.")
]
Seconds = Annotated[
    int | None, typer.Option("--seconds", min=1, metavar="N", help="Begin no further check after N seconds.")
]
Only = Annotated[list[str] | None, typer.Option("--check", metavar="NAME", help="Check only this. May be repeated.")]


def verify(
    context: typer.Context, full: Full = False, check: Only = None, seconds: Seconds = None, json: AsJson = False
) -> None:
    """Check every invariant of the books, the outbox and the payments, one line each."""
    run(context, full=full, only=check, seconds=seconds, as_json=json, others={})


def run(
    context: typer.Context,
    *,
    full: bool,
    only: list[str] | None,
    seconds: int | None,
    as_json: bool,
    others: Mapping[str, Check],
) -> None:
    """Run the checks, print each finding as soon as it is there, and end with exit code 1 if one does not hold."""
    from paybridge.verification.verify import all_hold
    from paybridge.verification.verify import verify as verify_all

    session = started(context)
    checks = verification_wiring.checks_over(session.database, session.clock, session.ids) | dict(others)
    unknown = set(only or ()) - set(checks)
    if unknown:
        raise typer.BadParameter(f"{min(unknown)!r} is none of {', '.join(checks)}")
    chosen = {name: check for name, check in checks.items() if not only or name in only}
    found = []
    for named in verify_all(chosen, full=full, seconds_max=seconds):
        found.append(named)
        if not as_json:
            print_lines([_line(named.view())])
    holds = all_hold(found)
    if as_json:
        print_json({"holds": holds, "data": [named.view() for named in found]})
    if holds is False:
        raise typer.Exit(1)


def _line(view: Mapping[str, object]) -> str:
    word = {True: "holds", False: "FAILS", None: "not checked"}[view["holds"]]  # type: ignore[index]
    detail = "" if view["detail"] is None else f": {view['detail']}"
    return f"{word:<11}  {view['check']}  ({view['checked']} checked){detail}"
