"""`paybridge analytics`: the days and months of merchants in figures, as tables, CSV and charts."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import UUID

import typer

from paybridge.analytics.charts import Measure, svg, text_lines
from paybridge.cli.arguments import MerchantOption, id_of
from paybridge.cli.output import AsJson, fail, print_json, print_lines, print_table
from paybridge.cli.session import CommandSession, started
from paybridge.core.errors import InvalidInput

if TYPE_CHECKING:
    from paybridge.analytics.domain import Wanted
    from paybridge.analytics.read_figures import Period

PAGE = 1000
# So many rows are read at most. A year of one merchant in ten currencies has a third of them.
ROWS_MAX = 10_000
TABLE = (
    "day", "currency", "payments", "succeeded", "failed", "failure_rate", "volume", "processing_p50_seconds",
    "processing_p95_seconds", "refunded", "webhook_success_rate",
)  # fmt: skip
TABLE_OF_MONTHS = tuple(
    "month" if name == "day" else "processing_mean_seconds" if name.endswith("p50_seconds") else name
    for name in TABLE
    if name != "processing_p95_seconds"
)
# A terminal of unknown width.
CHARACTERS = 100
STANDARD_OUTPUT = "-"

# The API names its parameters like this.
_FIELD = re.compile("`([a-z]+)`")

app = typer.Typer(help="Show the days of merchants in figures.", no_args_is_help=True)


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day, such as 2026-01-31") from None


def _parse_currency(text: str) -> str:
    from paybridge.core.money import EXPONENTS

    if text not in EXPONENTS:
        raise typer.BadParameter(f"{text!r} is not a currency, such as EUR")
    return text


From = Annotated[
    Any,
    typer.Option("--from", parser=_parse_day, metavar="DAY", help="First day (UTC). 30 days up to the last if absent."),
]
To = Annotated[Any, typer.Option("--to", parser=_parse_day, metavar="DAY", help="Last day (UTC). Today if absent.")]
Currency = Annotated[
    Any, typer.Option("--currency", parser=_parse_currency, metavar="CODE", help="Only this currency, such as EUR.")
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, as the API answers.")]


class Shown(NamedTuple):
    """A command that shows figures: its name, what its table shows, and its help."""

    command: str
    table: tuple[str, ...]
    help: str


FIGURES: Mapping[str, Shown] = {
    "day": Shown("daily", TABLE, "Show each day: payments by outcome, volume, processing time, refunds, webhooks."),
    "month": Shown(
        "monthly",
        TABLE_OF_MONTHS,
        "Show the sums of each month from that of the first day to that of the last. Percentiles do not add up.",
    ),
}


def _add_command(period_name: str, shown: Shown) -> None:
    """Add the command that shows the figures of a period. All of these have the same options."""

    @app.command(shown.command, help=shown.help)
    def show(
        context: typer.Context,
        merchant: MerchantOption = None,
        first: From = None,
        last: To = None,
        currency: Currency = None,
        csv: AsCsv = False,
        json: AsJson = False,
    ) -> None:
        from paybridge.analytics.read_figures import Period

        _show(context, Period(period_name), shown.table, (merchant, first, last, currency), csv=csv, json=json)


for _name, _shown in FIGURES.items():
    _add_command(_name, _shown)


@app.command()
def plot(
    context: typer.Context,
    merchant: Annotated[
        UUID, typer.Option("--merchant", parser=id_of("merchant"), metavar="ID", help="Of this merchant.")
    ],
    currency: Annotated[
        Any, typer.Option("--currency", parser=_parse_currency, metavar="CODE", help="In this currency, such as EUR.")
    ],
    first: From = None,
    last: To = None,
    measure: Annotated[Measure, typer.Option(help="What the bars show.")] = Measure.VOLUME,
    file: Annotated[
        str | None, typer.Option("--svg", metavar="FILE", help="Write an SVG to this file, or print it for `-`.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Draw a merchant's days as bars, in the terminal or as an SVG. --json prints what the bars show."""
    from paybridge.analytics.read_figures import Period, json_view

    session = started(context)
    period = Period.DAY
    views = _read(session, period, _wanted(session, merchant, first, last, currency))
    if json:
        shown = [{"day": view["day"], "value": view[measure.member]} for view in map(json_view, views)]
        print_json({"measure": measure, "currency": currency, "data": shown})
        return
    if file is None:
        print_lines(text_lines(views, measure, currency, _characters()) if views else ["There are no figures yet."])
        return
    chart = svg(views, measure, currency)
    if file == STANDARD_OUTPUT:
        print(chart, end="")
        return
    try:
        Path(file).write_text(chart, encoding="utf-8")
    except OSError as error:
        raise fail(f"{file} cannot be written: {error.strerror}.") from error
    print(f"Wrote {file}.")


def _show(
    context: typer.Context,
    period: Period,
    table: Sequence[str],
    wanted: tuple[UUID | None, date | None, date | None, str | None],
    *,
    csv: bool,
    json: bool,
) -> None:
    from paybridge.analytics.domain import csv_lines
    from paybridge.analytics.read_figures import json_view

    if csv and json:
        raise typer.BadParameter("give --csv or --json, and not both")
    session = started(context)
    views = _read(session, period, _wanted(session, *wanted))
    if json:
        print_json({"data": list(map(json_view, views)), "has_more": False, "next_cursor": None})
    elif csv:
        print_lines(csv_lines(period.columns, views))
    elif not views:
        print("There are no figures yet.")
    else:
        columns = table if wanted[0] is not None else ("merchant_id", *table)
        titles = [name.removeprefix("processing_").replace("_", " ").upper() for name in columns]
        print_table(titles, [[view[name] for name in columns] for view in views])


def _wanted(
    session: CommandSession, merchant: UUID | None, first: date | None, last: date | None, currency: str | None
) -> Wanted:
    from paybridge.analytics.domain import Wanted
    from paybridge.analytics.read_figures import range_of

    try:
        begin, end = range_of(first, last, session.clock.now().date())
    except InvalidInput as error:
        raise typer.BadParameter(_FIELD.sub(r"--\1", error.detail).rstrip(".")) from None
    return Wanted(first=begin, last=end, merchant_id=merchant, currency=currency)


def _read(session: CommandSession, period: Period, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the views of all pages. More than ROWS_MAX are refused."""
    from paybridge.analytics.read_figures import read_figures

    views: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = read_figures(session.database, period, wanted, cursor=cursor, limit=PAGE)
        views += map(period.view, page.figures)
        cursor = page.next_cursor
        if cursor is None:
            return views
        if len(views) >= ROWS_MAX:
            raise fail(f"There are more than {ROWS_MAX} rows. Name a merchant, a currency or fewer days.")


def _characters() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else CHARACTERS
