"""`paybridge ledger balances|accounts|entries`: read the books."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import MerchantOption, id_of, parse_time
from paybridge.cli.output import AsJson, Cursor, Limit, print_json, print_page, print_table
from paybridge.cli.session import started

BALANCE_COLUMNS = ("CURRENCY", "PENDING", "AVAILABLE", "RESERVED")
ACCOUNT_COLUMNS = {
    "ACCOUNT": "account",
    "BALANCE": "balance",
    "CURRENCY": "currency",
    "DEBITS": "debits",
    "CREDITS": "credits",
}
ENTRY_COLUMNS = {
    "HAPPENED": "happened_at",
    "RULE": "rule",
    "DEBIT": "debit_account",
    "CREDIT": "credit_account",
    "AMOUNT": "amount",
    "CURRENCY": "currency",
    "PAYMENT": "payment_id",
    "REASON": "reason",
}

AsOf = Annotated[
    Any, typer.Option(parser=parse_time, metavar="TIME", help="As it was after all that had happened by then.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands that read the books to their group."""
    app.command()(balances)
    app.command()(accounts)
    app.command()(entries)


def balances(context: typer.Context, merchant: MerchantOption = None, as_of: AsOf = None, json: AsJson = False) -> None:
    """Show what a merchant, or all of them together, have pending, available and reserved in each currency."""
    from paybridge.ledger.read_balances import read_balances
    from paybridge.ledger.sum_balances import sum_balances

    if merchant is None and as_of is not None:
        raise typer.BadParameter("name a --merchant: the sum of all is shown as it is now")
    database = started(context).database
    found = sum_balances(database) if merchant is None else read_balances(database, merchant, as_of)
    if json:
        print_json({"data": [balance.view() for balance in found]})
    elif found:
        print_table(BALANCE_COLUMNS, [tuple(balance.view().values()) for balance in found])
    else:
        print("No money has moved.")


def accounts(
    context: typer.Context,
    merchant: MerchantOption = None,
    as_of: AsOf = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List accounts with their balances: those of a merchant, or of all and of the house."""
    from paybridge.ledger.domain.balances import account_view
    from paybridge.ledger.read_balances import list_accounts

    page = list_accounts(started(context).database, merchant, as_of, cursor=cursor, limit=limit)
    views = [account_view(account) for account in page.accounts]
    print_page(views, page.next_cursor, ACCOUNT_COLUMNS, "There are no such accounts.", json)


def entries(
    context: typer.Context,
    merchant: MerchantOption = None,
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Only those of this account.")] = None,
    payment: Annotated[
        UUID | None, typer.Option(parser=id_of("payment"), metavar="ID", help="Only those of this payment.")
    ] = None,
    as_of: AsOf = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List entries, newest first. Without a merchant, an account or a payment they are those of the house."""
    from paybridge.ledger.domain.entries import entry_view
    from paybridge.ledger.read_entries import EntryFilters, list_entries

    filters = EntryFilters(account=account, payment_id=payment, as_of=as_of)
    page = list_entries(started(context).database, merchant, filters, cursor=cursor, limit=limit)
    views = [entry_view(entry) for entry in page.entries]
    print_page(views, page.next_cursor, ENTRY_COLUMNS, "There are no such entries.", json)
