"""Print the results of commands: tables and lines for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as the API answers.")]
Limit = Annotated[int, typer.Option(min=1, max=100, metavar="N", help="List at most this many.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Continue where the previous page ended.")]

# What does not go to a terminal is not folded: a program or a log reads it line by line.
_UNFOLDED_COLUMNS = 10_000


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines whose texts may come from any sender."""
    print(printable("\n".join(lines)))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under the names of their columns. None is shown as a dash."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else printable(str(cell))) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _UNFOLDED_COLUMNS)
    console.print(table)


def print_page(
    views: Sequence[Mapping[str, Any]], next_cursor: str | None, columns: Mapping[str, str], nothing: str, as_json: bool
) -> None:
    """Print one page of a list. `columns` maps the name of each column to the member of the views in it."""
    if as_json:
        print_json({"data": views, "has_more": next_cursor is not None, "next_cursor": next_cursor})
        return
    if not views:
        print(nothing)
        return
    print_table(list(columns), [[view.get(member) for member in columns.values()] for view in views])
    if next_cursor is not None:
        print(f"There are more: --cursor {next_cursor}")


def print_view(view: Mapping[str, Any], as_json: bool) -> None:
    """Print one resource, a member in each line. Members without a value are left out."""
    if as_json:
        print_json(view)
        return
    width = max(map(len, view), default=0)
    print_lines(f"{name:<{width}}  {_text(value)}" for name, value in view.items() if value is not None)


def fail(sentence: str) -> typer.Exit:
    """Print why a command was refused and return the exception that ends it with exit code 1."""
    print(printable(sentence), file=sys.stderr)
    return typer.Exit(1)


def printable(text: str) -> str:
    """Return a text that cannot change the operator's terminal: control characters are replaced."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
