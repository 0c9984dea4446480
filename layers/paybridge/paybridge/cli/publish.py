"""`paybridge publish`: order a payment by message, as a merchant's system does."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from paybridge import wiring
from paybridge.cli.arguments import decoded, id_of, metadata_of
from paybridge.cli.output import AsJson, fail, print_view
from paybridge.cli.session import new_idempotency_key, started
from paybridge.outbox.queues import INTAKE_QUEUE
from paybridge.wiring import broker

DEADLINE_SECONDS = 10.0
STANDARD_INPUT = Path("-")

DESCRIPTION = """\
Order a payment by message: publish it to the exchange payments with the key payments.intake.

It is accepted, or dead-lettered with a reason, within about a second. The same idempotency key makes one payment, by
message and by HTTP together.

\b
  paybridge publish --amount 100.50 --currency EUR --user user_123 --payment-method tok_success
  paybridge payments list --customer user_123
  paybridge publish --file order.json        # these very bytes
  paybridge dead-letters list --queue payments.intake
"""


def publish(
    context: typer.Context,
    amount: Annotated[str | None, typer.Option(metavar="AMOUNT", help="Such as 100.50.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Such as EUR.")] = None,
    user: Annotated[str | None, typer.Option(metavar="TEXT", help="Who pays: the payment's customer.")] = None,
    merchant: Annotated[
        UUID | None,
        typer.Option(parser=id_of("merchant"), metavar="ID", help="Who is paid. Locally the demo merchant if absent."),
    ] = None,
    payment_method: Annotated[str | None, typer.Option(metavar="TOKEN", help="Such as tok_success.")] = None,
    webhook_url: Annotated[str | None, typer.Option(metavar="URL", help="Where its webhooks go.")] = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="Kept with the payment.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Kept with the payment. May be repeated.")
    ] = None,
    capture: Annotated[str | None, typer.Option(metavar="HOW", help="automatic or manual.")] = None,
    key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="A new one is made if absent, and printed."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Send the bytes of this file, - for standard input, as they are."),
    ] = None,
    body: Annotated[
        str | None, typer.Option(metavar="BASE64", hidden=True, help="What --file holds, from another machine.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Order a payment by message."""
    chosen_key = key or new_idempotency_key()
    members = {
        "idempotency_key": chosen_key,
        "amount": amount,
        "currency": currency,
        "user_id": user,
        "merchant_id": None if merchant is None else str(merchant),
        "payment_method": payment_method,
        "webhook_url": webhook_url,
        "description": description,
        "metadata": metadata_of(metadata or []),
        "capture": capture,
    }
    given = {name: value for name, value in members.items() if value is not None}
    if file is not None or body is not None:
        _ensure_alone(given, key)
        content, shown_key = _bytes_of(file) if file is not None else decoded(body or ""), None
    else:
        _ensure_complete(given)
        content, shown_key = json_module.dumps({"type": "PaymentInitiated", **given}).encode(), chosen_key
    session = started(context)
    message_id = str(session.ids.new())
    refusal = wiring.run(_sent(content, message_id))
    if refusal is not None:
        raise fail(f"The broker did not take the message: {refusal}.")
    shown = {} if shown_key is None else {"idempotency_key": shown_key}
    print_view({**shown, "message_id": message_id, "queue": INTAKE_QUEUE, "bytes": len(content)}, json)


async def _sent(body: bytes, message_id: str) -> str | None:
    """Return None once the broker has confirmed the message, or why it refused it. Raises BrokerUnavailable."""
    from paybridge.intake.payment_message import MESSAGE_TYPE
    from paybridge.outbox.ports import Message
    from paybridge.outbox.routes import INTAKE_KEY, PAYMENTS_EXCHANGE

    message = Message(
        id=message_id,
        type=MESSAGE_TYPE,
        exchange=PAYMENTS_EXCHANGE,
        routing_key=INTAKE_KEY,
        body=body,
        correlation_id=message_id,
    )
    async with broker.open_publisher() as publisher:
        return (await publisher.publish([message], DEADLINE_SECONDS))[0]


def _bytes_of(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from None


def _ensure_complete(given: dict[str, Any]) -> None:
    options = {"--amount": "amount", "--currency": "currency", "--user": "user_id"}
    missing = [option for option, name in options.items() if name not in given]
    if missing:
        raise typer.BadParameter(f"give {' and '.join(missing)}, or the whole message by --file")


def _ensure_alone(given: dict[str, Any], key: str | None) -> None:
    if len(given) > 1 or key is not None:
        raise typer.BadParameter("--file is the whole message: leave the other options out")
