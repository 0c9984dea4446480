"""`paybridge archive`: list and show archived months, look at waiting ones again, and restore one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Annotated, Any

import typer

from paybridge.cli.output import AsJson, fail, print_json, print_lines, print_page
from paybridge.cli.session import started

COLUMNS = {
    "MONTH": "month",
    "STATE": "state",
    "ROWS": "rows",
    "BYTES": "bytes",
    "RESTORED UNTIL": "restored_until",
    "REASON": "reason",
}
NONE = "No month is archived."
SOON = "The function archive goes on within a minute. `paybridge archive list` shows how far it is."

app = typer.Typer(help="List, show and restore archived months.", no_args_is_help=True)


def _month(text: str) -> date:
    from paybridge.archive.domain import parse_month

    try:
        return parse_month(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a month, such as 2025-01") from None


def _days(text: str) -> int:
    from paybridge.archive.order import RESTORED_DAYS_MAX

    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= RESTORED_DAYS_MAX:
        raise typer.BadParameter(f"{text!r} is not a whole number from 1 to {RESTORED_DAYS_MAX}")
    return int(text)


MonthArgument = Annotated[date, typer.Argument(parser=_month, metavar="MONTH", help="The month, such as 2025-01.")]


@app.command("list")
def list_(context: typer.Context, json: AsJson = False) -> None:
    """List the months that are archived, restored or on their way, newest first."""
    from paybridge.archive.read import list_archive

    _print_months(list_archive(started(context).database), json)


@app.command()
def run(context: typer.Context, json: AsJson = False) -> None:
    """Have the months that wait looked at again within a minute, and not a day later."""
    from paybridge.archive.order import order_run
    from paybridge.archive.read import list_archive

    database = started(context).database
    order_run(database)
    _print_months(list_archive(database), json)
    if not json:
        print(SOON)


@app.command()
def show(context: typer.Context, month: MonthArgument, json: AsJson = False) -> None:
    """Show a month: where it is, why it waits, and how far each table has come."""
    from paybridge.archive.read import show_month

    view = show_month(started(context).database, month)
    if view is None:
        raise _unknown(month)
    if json:
        print_json(view)
    else:
        print_lines(_shown(view))


@app.command()
def restore(
    context: typer.Context,
    month: MonthArgument,
    days: Annotated[
        int | None, typer.Option(parser=_days, metavar="N", help="Keep it for so many days. 7 if absent.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Have an archived month restored, for reading and replays. A second order keeps it for longer."""
    from paybridge.archive.order import RESTORED_DAYS, is_restorable, order_restore
    from paybridge.archive.read import show_month

    session = started(context)
    ordered = order_restore(session.database, session.clock, month, days or RESTORED_DAYS)
    if ordered is None:
        raise _unknown(month)
    if not is_restorable(ordered):
        raise fail(f"The month is {ordered.state}. Only a month that is archived can be restored.")
    view = show_month(session.database, month)
    assert view is not None
    if json:
        print_json(view)
    else:
        print(f"{view['month']} is {view['state']} and kept until {view['restored_until'][:19]}.\n{SOON}")


def _print_months(views: list[dict[str, Any]], as_json: bool) -> None:
    shown = [{**view, "restored_until": (view["restored_until"] or "")[:19]} for view in views]
    print_page(views if as_json else shown, None, COLUMNS, NONE, as_json)


def _shown(view: Mapping[str, Any]) -> Iterable[str]:
    for name in ("month", "state", "reason", "rows", "bytes", "restored_until", "checked_at"):
        if view[name] is not None:
            yield f"{name:<15} {view[name]}"
    for table in view["tables"]:
        yield f"{table['state']:<10} {table['rows']:>10} rows  {table['files']:>5} files  {table['location']}"


def _unknown(month: date) -> typer.Exit:
    return fail(f"The archive has not looked at {month:%Y-%m}.")
