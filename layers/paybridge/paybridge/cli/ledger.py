"""`paybridge ledger`: the books."""

from __future__ import annotations

import typer

from paybridge.cli import ledger_books

app = typer.Typer(help="Read the books.", no_args_is_help=True)

ledger_books.add_to(app)
