"""`paybridge ledger`: the books."""

from __future__ import annotations

import typer

from paybridge.cli import ledger_books, ledger_corrections, ledger_rebuild

app = typer.Typer(help="Read, correct, rebuild and prove the books.", no_args_is_help=True)

ledger_books.add_to(app)
ledger_corrections.add_to(app)
ledger_rebuild.add_to(app)
