"""`paybridge reconcile`: compare a day with the statements of the gateways, and work on its breaks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import decoded, id_of
from paybridge.cli.output import AsJson, Limit, fail, print_json, print_lines, print_page, print_table, print_view
from paybridge.cli.session import started

if TYPE_CHECKING:
    from paybridge.reconciliation.domain.breaks import BreakDecision, BreakState, BreakType
    from paybridge.reconciliation.domain.run import BreakCounts, Run
    from paybridge.reconciliation.ports import ReconciliationServices

# The function `operate` has 30 seconds for a command.
WAIT_SECONDS_MAX = 25
POLL_SECONDS = 0.5
COLUMNS = {
    "DATE": "date",
    "STATE": "state",
    "BREAKS": "breaks",
    "DIFFERENCE": "difference",
    "UNEXPLAINED": "unexplained",
    "MATCHED": "matched",
    "RECONCILIATION": "reconciliation_id",
}
BREAK_COLUMNS = {
    "BREAK": "break_id",
    "TYPE": "type",
    "STATE": "state",
    "DIFFERENCE": "difference",
    "PAYMENT": "payment_id",
    "GATEWAY'S ID": "gateway_id",
    "FOUND": "found_at",
    "NOTE": "note",
}

app = typer.Typer(help="Compare days with the gateways' statements.", no_args_is_help=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day, such as 2026-11-28") from None


def _day_or_id(text: str) -> date | UUID:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a day, such as 2026-11-28, nor an id") from None


Which = Annotated[
    Any, typer.Argument(parser=_day_or_id, metavar="DATE|ID", help="The day, in UTC, or the reconciliation's id.")
]
BreakId = Annotated[UUID, typer.Argument(parser=id_of("break"), metavar="BREAK", help="The break's id.")]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why. It is kept with the break.")]
Wait = Annotated[
    int,
    typer.Option(min=0, max=WAIT_SECONDS_MAX, metavar="N", help="Wait up to N seconds for the end, with progress."),
]


@app.command()
def run(
    context: typer.Context,
    day: Annotated[
        Any, typer.Option("--date", parser=_day, metavar="DATE", help="The day, in UTC. Yesterday if absent.")
    ] = None,
    wait: Wait = WAIT_SECONDS_MAX,
    json: AsJson = False,
) -> None:
    """Compare a day. One that was compared before is compared again, with the same breaks."""
    from paybridge.core.archived_months import MonthsArchived
    from paybridge.core.errors import InvalidInput
    from paybridge.reconciliation.reconcile import start_reconciliation

    session = started(context)
    services = _services()
    wanted = day or services.clock.now().date() - timedelta(days=1)
    try:
        begun = start_reconciliation(services, wanted, session.actor)
    except InvalidInput as error:
        raise fail(error.detail) from None
    except MonthsArchived as error:
        raise fail(str(error)) from None
    _end(services, begun.id, wait, json)


@app.command("import")
def import_(
    context: typer.Context,
    day: Annotated[Any, typer.Option("--date", parser=_day, metavar="DATE", help="The day of the statement, in UTC.")],
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="The statement as CSV.")
    ] = None,
    body: Annotated[
        str | None, typer.Option(metavar="BASE64", hidden=True, help="What FILE holds, from another machine.")
    ] = None,
    gateway: Annotated[str, typer.Option(metavar="NAME", help="Whose statement it is.")] = "default",
    wait: Wait = WAIT_SECONDS_MAX,
    json: AsJson = False,
) -> None:
    """Import the statement of a gateway for a day, and compare that day with it."""
    from paybridge.core.archived_months import MonthsArchived
    from paybridge.core.errors import InvalidInput
    from paybridge.reconciliation.csv_statement import StatementInvalid
    from paybridge.reconciliation.import_statement import import_statement

    if file is None and body is None:
        raise typer.BadParameter("name the FILE of the statement")
    content = file.read_bytes() if file is not None else decoded(body or "")
    session = started(context)
    services = _services()
    try:
        begun = import_statement(services, day, gateway, content, session.actor)
    except StatementInvalid as error:
        lines = [f"line {each.line}: {each.error}" for each in error.errors]
        more = [f"and {error.count - len(lines)} more"] if error.count > len(lines) else []
        raise fail("\n".join([*lines, *more, "Nothing was imported. Correct the file and import it again."])) from None
    except InvalidInput as error:
        raise fail(error.detail) from None
    except MonthsArchived as error:
        raise fail(str(error)) from None
    _end(services, begun.id, wait, json)


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20, json: AsJson = False) -> None:
    """List reconciliations, the newest day first."""
    from paybridge.reconciliation.domain.run import run_view
    from paybridge.reconciliation.reconcile import list_reconciliations

    started(context)
    views = [run_view(*each) for each in list_reconciliations(_services(), None, limit)]
    shown = views if json else [_flat(view) for view in views]
    print_page(shown, None, COLUMNS, "No day was reconciled yet.", json)


@app.command()
def show(context: typer.Context, which: Which, json: AsJson = False) -> None:
    """Show a reconciliation: how far it is, and what it came to."""
    started(context)
    services = _services()
    _print(_found(services, which), json)


@app.command()
def breaks(
    context: typer.Context,
    which: Which,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="open, explained, resolved or void.")] = None,
    type_: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only breaks of this type.")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, all columns and rows.")] = False,
    limit: Limit = 100,
    json: AsJson = False,
) -> None:
    """List the breaks of a day, oldest first."""
    from paybridge.reconciliation.breaks_csv import csv_lines
    from paybridge.reconciliation.decide_breaks import list_breaks, read_all_breaks
    from paybridge.reconciliation.domain.breaks import BreakState, BreakType, break_view
    from paybridge.reconciliation.domain.run import NO_ID

    wanted: tuple[BreakState | None, BreakType | None] = (
        _option(state, "state", BreakState),
        _option(type_, "type", BreakType),
    )
    started(context)
    services = _services()
    found, _ = _found(services, which)
    now = services.clock.now()
    if csv:
        print_lines(csv_lines(read_all_breaks(services, found.id, state=wanted[0], type_=wanted[1]), now))
        return
    rows = list_breaks(services, found.id, NO_ID, limit + 1, state=wanted[0], type_=wanted[1])
    views = [break_view(each, now) for each in rows[:limit]]
    if json:
        print_json({"data": views, "has_more": len(rows) > limit})
        return
    if not views:
        print("There are no such breaks.")
        return
    flat = [
        {**view, "difference": _amounts(view["difference"]), "gateway_id": (view["gateway"] or {}).get("id")}
        for view in views
    ]
    print_table(list(BREAK_COLUMNS), [[row.get(member) for member in BREAK_COLUMNS.values()] for row in flat])
    if len(rows) > limit:
        print("There are more: --limit, --state or --type, or --csv for all.")


@app.command()
def resolve(
    context: typer.Context,
    break_id: BreakId,
    note: Note,
    force: Annotated[bool, typer.Option("--force", help="Accept the difference: no side was corrected.")] = False,
    json: AsJson = False,
) -> None:
    """Resolve a break: one of the sides was corrected."""
    from paybridge.reconciliation.domain.breaks import FORCE, RESOLVE

    _decide(context, break_id, FORCE if force else RESOLVE, note, json)


@app.command()
def explain(context: typer.Context, break_id: BreakId, note: Note, json: AsJson = False) -> None:
    """Say why a break is there. It stays until it is resolved."""
    from paybridge.reconciliation.domain.breaks import EXPLAIN

    _decide(context, break_id, EXPLAIN, note, json)


@app.command()
def void(context: typer.Context, break_id: BreakId, note: Note, json: AsJson = False) -> None:
    """Void a break: it was a false alarm."""
    from paybridge.reconciliation.domain.breaks import VOID

    _decide(context, break_id, VOID, note, json)


def _decide(context: typer.Context, break_id: UUID, decision: BreakDecision, note: str, json: bool) -> None:
    from paybridge.reconciliation.decide_breaks import decide_break
    from paybridge.reconciliation.domain.breaks import NOTE_CHARACTERS_MAX, BreakClosed, break_view, kept_note

    kept = kept_note(note)
    if kept is None:
        raise typer.BadParameter(f"the note has 1 to {NOTE_CHARACTERS_MAX} characters")
    session = started(context)
    services = _services()
    try:
        changed = decide_break(services, break_id, decision, kept, session.actor)
    except BreakClosed as error:
        raise fail(str(error)) from None
    if changed is None:
        raise fail(f"There is no break {break_id}.")
    print_view(break_view(changed, services.clock.now()), json)


def _services() -> ReconciliationServices:
    from paybridge.wiring import reconciliation

    # The command prints the outcome itself. A log line on the same stream would break the output of --json.
    return replace(reconciliation.services(), on_end=lambda *_: None)


def _found(services: ReconciliationServices, which: date | UUID) -> tuple[Run, BreakCounts]:
    from paybridge.reconciliation.reconcile import find_reconciliation, find_reconciliation_of

    found = find_reconciliation_of(services, which) if isinstance(which, date) else find_reconciliation(services, which)
    if found is None:
        raise fail(f"There is no reconciliation {which}. `paybridge reconcile run --date DATE` begins one.")
    return found


def _end(services: ReconciliationServices, id_: UUID, wait_seconds: int, json: bool) -> None:
    """Work on the reconciliation for so long, and print it. A day that failed ends the command with 1."""
    from paybridge import wiring
    from paybridge.reconciliation.domain.run import RunState
    from paybridge.reconciliation.reconcile import Progress, work_on

    ends_at = time.monotonic() + wait_seconds
    progress = Progress.WAITS
    while wait_seconds and progress is not Progress.ENDED and time.monotonic() < ends_at:
        progress = wiring.run(work_on(services, id_, min(2.0, wait_seconds)))
        if progress is not Progress.ENDED and sys.stderr.isatty():
            print(f"{_found(services, id_)[0].phase} …", file=sys.stderr)
        if progress in {Progress.WAITS, Progress.BUSY}:
            time.sleep(POLL_SECONDS)
    found = _found(services, id_)
    _print(found, json)
    if found[0].state is RunState.FAILED:
        raise typer.Exit(1)


def _print(found: tuple[Run, BreakCounts], json: bool) -> None:
    from paybridge.reconciliation.domain.run import run_view

    view = run_view(*found)
    if json:
        print_json(view)
    else:
        print_lines(_lines(view))


def _lines(view: Mapping[str, Any]) -> Iterable[str]:
    state = view["state"] if view["phase"] is None else f"{view['state']} ({view['phase']})"
    yield f"{view['date']}  {state}  {view['reconciliation_id']}"
    if view["error"]:
        yield view["error"]
    for total in view["totals"]:
        yield (
            f"  {total['currency']}  gateway {total['gateway']}  payments {total['payments']}  "
            f"to post {total['payments_posted']}  ledger {total['ledger']}"
        )
    yield f"matched {view['matched']}, on their way {view['on_the_way']}, pending {view['pending']}"
    yield f"difference {_amounts(view['difference']) or 'none'}, unexplained {_amounts(view['unexplained']) or 'none'}"
    types = ", ".join(f"{count} {type_}" for type_, count in view["breaks_by_type"].items())
    yield f"breaks {view['breaks']}{f': {types}' if types else ''}"


def _flat(view: Mapping[str, Any]) -> dict[str, Any]:
    return {**view, "difference": _amounts(view["difference"]), "unexplained": _amounts(view["unexplained"])}


def _amounts(amounts: Mapping[str, str]) -> str:
    return ", ".join(f"{amount} {currency}" for currency, amount in amounts.items())


def _option(text: str | None, name: str, options: Any) -> Any:
    if text is None:
        return None
    try:
        return options(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a {name} of a break. Use one of {', '.join(options)}") from None
