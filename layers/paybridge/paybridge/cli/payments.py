"""`paybridge payments`: list, show, capture, cancel and refund payments."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import KeyOption, MerchantOption, id_of, metadata_of, parse_time
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_json, print_lines, print_page, print_view
from paybridge.cli.session import CommandSession, new_idempotency_key, started
from paybridge.payments.domain.payment import Status

if TYPE_CHECKING:
    from paybridge.payments.domain.refusal import OrderRefusal
    from paybridge.payments.idempotency import Keyed, KeyedOutcome

PaymentId = Annotated[UUID, typer.Argument(parser=id_of("payment"), metavar="ID", help="The payment's id.")]
Amount = Annotated[
    str | None, typer.Option(metavar="AMOUNT", help="Such as 100.50, in the payment's currency. All if absent.")
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the payment's history.")]

COLUMNS = {
    "PAYMENT": "payment_id",
    "STATUS": "status",
    "AMOUNT": "amount",
    "CURRENCY": "currency",
    "CAPTURED": "amount_captured",
    "REFUNDED": "amount_refunded",
    "FAILURE": "failure_code",
    "CREATED": "created_at",
}

app = typer.Typer(help="List, show, capture, cancel and refund payments.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    merchant: MerchantOption = None,
    status: Annotated[Status | None, typer.Option(help="Only those in this status.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Only those in this currency.")] = None,
    customer: Annotated[str | None, typer.Option(metavar="TEXT", help="Only those of this customer.")] = None,
    created_from: Annotated[Any, typer.Option(parser=parse_time, metavar="TIME", help="Created at or after.")] = None,
    created_to: Annotated[Any, typer.Option(parser=parse_time, metavar="TIME", help="Created before.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List payments, newest first."""
    from paybridge.payments.domain.payment import payment_view
    from paybridge.payments.domain.query import PaymentFilters
    from paybridge.payments.list_payments import list_payments

    session = started(context)
    filters = PaymentFilters(
        status=status, currency=currency, customer=customer, created_from=created_from, created_to=created_to
    )
    page = list_payments(session.database, merchant, filters, cursor=cursor, limit=limit)
    views = [payment_view(payment) for payment in page.payments]
    print_page(views, page.next_cursor, COLUMNS, "There are no such payments.", json)


@app.command()
def show(context: typer.Context, payment_id: PaymentId, json: AsJson = False) -> None:
    """Show where a payment is and why, with its history."""
    from paybridge.cli.payment_lines import payment_lines
    from paybridge.payments.diagnose import diagnose_payment, diagnosis_view
    from paybridge.payments.domain.query import timeline_view

    session = started(context)
    found = diagnose_payment(session.database, session.clock, payment_id)
    if found is None:
        raise _archived(session, payment_id) or _unknown(payment_id)
    if json:
        print_json({**diagnosis_view(found), "timeline": [timeline_view(entry) for entry in found.timeline]})
    else:
        print_lines(payment_lines(found))


@app.command()
def capture(
    context: typer.Context, payment_id: PaymentId, amount: Amount = None, key: KeyOption = None, json: AsJson = False
) -> None:
    """Capture what was authorized. An amount below the whole releases the rest."""
    from paybridge.payments.capture import capture_operation, capture_payment

    _order(started(context), payment_id, key, capture_operation(payment_id), capture_payment, {"amount": amount}, json)


@app.command()
def cancel(
    context: typer.Context, payment_id: PaymentId, reason: Reason = None, key: KeyOption = None, json: AsJson = False
) -> None:
    """Cancel a payment before its money is taken."""
    from paybridge.payments.cancel import cancel_operation, cancel_payment

    _order(started(context), payment_id, key, cancel_operation(payment_id), cancel_payment, {"reason": reason}, json)


@app.command()
def refund(
    context: typer.Context,
    payment_id: PaymentId,
    amount: Amount = None,
    reason: Reason = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Kept with the refund. May be repeated.")
    ] = None,
    key: KeyOption = None,
    json: AsJson = False,
) -> None:
    """Give money of a payment back: an amount, or all that is left."""
    from paybridge.refunds.create import create_refund, refund_operation
    from paybridge.refunds.domain import RefundOrder

    order = RefundOrder(amount=amount, reason=reason, metadata=metadata_of(metadata or []))
    _order(started(context), payment_id, key, refund_operation(payment_id), create_refund, {"order": order}, json)


def _order(
    session: CommandSession,
    payment_id: UUID,
    key: str | None,
    purpose: str,
    run: Callable[..., KeyedOutcome | OrderRefusal | None],
    arguments: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Give an order for any merchant's payment, and print the answer that its merchant would have got."""
    from paybridge.payments.domain.refusal import OrderRefusal
    from paybridge.payments.idempotency import IdempotentRequest, Keyed
    from paybridge.payments.read import read_payment

    payment = read_payment(session.database, None, payment_id)
    if payment is None:
        raise _unknown(payment_id)
    chosen_key = key or new_idempotency_key()
    fingerprint = hashlib.sha256(repr(sorted(arguments.items())).encode()).digest()
    keyed: Keyed = Keyed(payment.merchant_id, purpose, IdempotentRequest(chosen_key, fingerprint))
    outcome = run(
        session.database,
        session.clock,
        session.ids,
        keyed=keyed,
        payment_id=payment_id,
        correlation_id=chosen_key,
        **arguments,
    )
    if outcome is None:
        raise _unknown(payment_id)
    if isinstance(outcome, OrderRefusal):
        raise fail(f"{outcome.detail} ({outcome.code})")
    print_view(_answer(outcome, chosen_key), as_json)


def _answer(outcome: KeyedOutcome, key: str) -> dict[str, Any]:
    from paybridge.payments.idempotency import Answered, AnswerExpired, KeyInFlight, KeyReused

    match outcome:
        case Answered(body=body):
            view: dict[str, Any] = json.loads(body)
            return {**view, "idempotency_key": key}
        case KeyReused():
            raise fail("This idempotency key was used for another command. Choose another key.")
        case KeyInFlight():
            raise fail("A command with this idempotency key is in progress. Repeat this one in a second.")
        case AnswerExpired():
            raise fail("The command with this idempotency key was carried out, and its answer is no longer kept.")


def _archived(session: CommandSession, payment_id: UUID) -> typer.Exit | None:
    """Return the end of a command about an archived payment, None if it is not archived."""
    from paybridge.archive.read import ArchivedKind, find_archived

    location = find_archived(session.database, ArchivedKind.PAYMENT, None, payment_id)
    if location is None:
        return None
    return fail(f"The payment is archived. To read it: paybridge archive restore {location.month}")


def _unknown(payment_id: UUID) -> typer.Exit:
    return fail(f"There is no payment {payment_id}.")
