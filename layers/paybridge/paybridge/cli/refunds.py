"""`paybridge refunds`: list and show refunds."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from paybridge.cli.arguments import MerchantOption, id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_page, print_view
from paybridge.cli.session import started
from paybridge.payments.domain.refund import RefundStatus

COLUMNS = {
    "REFUND": "refund_id",
    "PAYMENT": "payment_id",
    "STATUS": "status",
    "AMOUNT": "amount",
    "CURRENCY": "currency",
    "FAILURE": "failure_code",
    "CREATED": "created_at",
}

app = typer.Typer(help="List and show refunds.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    merchant: MerchantOption = None,
    payment: Annotated[
        UUID | None, typer.Option(parser=id_of("payment"), metavar="ID", help="Only those of this payment.")
    ] = None,
    status: Annotated[RefundStatus | None, typer.Option(help="Only those in this status.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List refunds, newest first."""
    from paybridge.refunds.domain import RefundFilters, view_of
    from paybridge.refunds.list_refunds import list_refunds

    session = started(context)
    filters = RefundFilters(payment_id=payment, status=status)
    page = list_refunds(session.database, merchant, filters, cursor=cursor, limit=limit)
    views = [view_of(refund) for refund in page.refunds]
    print_page(views, page.next_cursor, COLUMNS, "There are no such refunds.", json)


@app.command()
def show(
    context: typer.Context,
    refund_id: Annotated[UUID, typer.Argument(parser=id_of("refund"), metavar="ID", help="The refund's id.")],
    json: AsJson = False,
) -> None:
    """Show a refund."""
    from paybridge.refunds.domain import view_of
    from paybridge.refunds.read import read_refund

    found = read_refund(started(context).database, None, refund_id)
    if found is None:
        raise fail(f"There is no refund {refund_id}.")
    print_view(view_of(found), json)
