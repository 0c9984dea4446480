"""`paybridge verify`: check every invariant of the books, the outbox and the payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from paybridge.cli.output import AsJson, print_json, print_lines
from paybridge.cli.session import started
from paybridge.wiring import rebuilds as rebuild_wiring

if TYPE_CHECKING:
    from paybridge.verification.verify import Check

DESCRIPTION = """Check every invariant of the books, the outbox and the payments, one line each.

Exit codes: 0 all hold, 1 one does not hold.
"""
Full = Annotated[
    bool, typer.Option("--full", help="Check all seals and payments, which takes a while. Only the newest if absent.")
]
Only = Annotated[list[str] | None, typer.Option("--check", metavar="NAME", help="Check only this. May be repeated.")]


def verify(context: typer.Context, full: Full = False, check: Only = None, json: AsJson = False) -> None:
    """Check every invariant of the books, the outbox and the payments, one line each."""
    run(context, full=full, only=check, as_json=json, others={})


def run(
    context: typer.Context, *, full: bool, only: list[str] | None, as_json: bool, others: Mapping[str, Check]
) -> None:
    """Run the checks, print each finding as soon as it is there, and end with exit code 1 if one does not hold."""
    from paybridge.verification.verify import checks_of
    from paybridge.verification.verify import verify as verify_all

    session = started(context)
    checks = checks_of(rebuild_wiring.services_over(session.database, session.clock, session.ids), others)
    unknown = set(only or ()) - set(checks)
    if unknown:
        raise typer.BadParameter(f"{min(unknown)!r} is none of {', '.join(checks)}")
    chosen = {name: check for name, check in checks.items() if not only or name in only}
    views = []
    for named in verify_all(chosen, full=full):
        views.append(named.finding.view(named.check))
        if not as_json:
            print_lines([_line(views[-1])])
    if as_json:
        print_json({"data": views})
    if any(view["holds"] is False for view in views):
        raise typer.Exit(1)


def _line(view: Mapping[str, object]) -> str:
    word = {True: "holds", False: "FAILS", None: "not checked"}[view["holds"]]  # type: ignore[index]
    detail = "" if view["detail"] is None else f": {view['detail']}"
    return f"{word:<11}  {view['check']}  ({view['checked']} checked){detail}"
