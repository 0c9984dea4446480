"""`paybridge payouts`: order, list, show and settle payouts."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

import typer

from paybridge.cli.arguments import KeyOption, MerchantOption, id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_page, print_view
from paybridge.cli.session import new_idempotency_key, started
from paybridge.ledger.domain.payouts import PayoutOutcome, PayoutStatus

COLUMNS = {
    "PAYOUT": "payout_id",
    "STATUS": "status",
    "AMOUNT": "amount",
    "CURRENCY": "currency",
    "FAILURE": "failure_reason",
    "CREATED": "created_at",
}
REASON_CHARACTERS_MAX = 500

PayoutId = Annotated[UUID, typer.Argument(parser=id_of("payout"), metavar="ID", help="The payout's id.")]

app = typer.Typer(help="Order, list, show and settle payouts.", no_args_is_help=True)


@app.command()
def create(
    context: typer.Context,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 250.00.")],
    currency: Annotated[str, typer.Argument(metavar="CODE", help="Such as EUR.")],
    merchant: Annotated[
        UUID, typer.Option("--merchant", parser=id_of("merchant"), metavar="ID", help="To this merchant.")
    ],
    key: KeyOption = None,
    json: AsJson = False,
) -> None:
    """Order a payout of what a merchant has available."""
    from paybridge.core.money import to_minor
    from paybridge.ledger.create_payout import Insufficient, KeyTaken, PayoutOrder, create_payout
    from paybridge.ledger.domain.accounts import format_signed
    from paybridge.ledger.domain.payouts import PayoutKey, payout_view

    amount_minor = to_minor(amount, currency)
    chosen_key = key or new_idempotency_key()
    fingerprint = hashlib.sha256(f"{amount} {currency}".encode()).digest()
    session = started(context)
    order = PayoutOrder(
        merchant_id=merchant,
        amount_minor=amount_minor,
        currency=currency,
        key=PayoutKey(chosen_key, fingerprint),
        correlation_id=chosen_key,
    )
    result = create_payout(session.database, session.clock, session.ids, order)
    if isinstance(result, Insufficient):
        available = format_signed(result.available_minor, result.places)
        raise fail(f"Only {available} {currency} is available. (insufficient_balance)")
    if isinstance(result, KeyTaken):
        raise fail("This idempotency key was used for another payout. Choose another key.")
    print_view({**payout_view(result.payout), "idempotency_key": chosen_key}, json)


@app.command("list")
def list_(
    context: typer.Context,
    merchant: MerchantOption = None,
    status: Annotated[PayoutStatus | None, typer.Option(help="Only those in this status.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Only those in this currency.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List payouts, newest first."""
    from paybridge.ledger.domain.payouts import PayoutFilters, payout_view
    from paybridge.ledger.read_payouts import list_payouts

    filters = PayoutFilters(status=status, currency=currency)
    page = list_payouts(started(context).database, merchant, filters, cursor=cursor, limit=limit)
    views = [payout_view(payout) for payout in page.payouts]
    print_page(views, page.next_cursor, COLUMNS, "There are no such payouts.", json)


@app.command()
def show(context: typer.Context, payout_id: PayoutId, json: AsJson = False) -> None:
    """Show a payout."""
    from paybridge.ledger.domain.payouts import payout_view
    from paybridge.ledger.read_payouts import read_payout

    found = read_payout(started(context).database, None, payout_id)
    if found is None:
        raise _unknown(payout_id)
    print_view(payout_view(found), json)


@app.command()
def settle(
    context: typer.Context,
    payout_id: PayoutId,
    outcome: Annotated[PayoutOutcome, typer.Argument(help="How it ended.")],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why it failed, for the merchant.")] = None,
    json: AsJson = False,
) -> None:
    """Say that the money of a payout has arrived, or that it failed and is available again."""
    from paybridge.ledger.domain.payouts import payout_view
    from paybridge.ledger.settle_payout import AlreadySettled, settle_payout

    if reason is not None and not 1 <= len(reason) <= REASON_CHARACTERS_MAX:
        raise typer.BadParameter(f"a reason has 1 to {REASON_CHARACTERS_MAX} characters")
    session = started(context)
    settled = settle_payout(session.database, session.clock, session.ids, payout_id, outcome, reason, by=session.actor)
    if settled is None:
        raise _unknown(payout_id)
    if isinstance(settled, AlreadySettled):
        raise fail(f"The payout is {settled.payout.status} already, and that is final. (payout_settled)")
    print_view(payout_view(settled), json)


def _unknown(payout_id: UUID) -> typer.Exit:
    return fail(f"There is no payout {payout_id}.")
