"""`paybridge merchants`: create, list and show merchants."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

import typer

from paybridge.access.domain.merchants import EMAIL_CHARACTERS_MAX, EMAIL_PATTERN, NOTIFY_MAX, PHONE_PATTERN
from paybridge.cli.arguments import Burst, PerSecond, id_of, parse_name, rate_limit_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_page, print_view
from paybridge.cli.session import started
from paybridge.core.event_patterns import is_notify_pattern, is_pattern

COLUMNS = {
    "MERCHANT": "merchant_id",
    "NAME": "name",
    "EMAIL": "email",
    "PHONE": "phone",
    "GATEWAY": "gateway",
    "CREATED": "created_at",
}
SECRET_SHOWN_ONCE = "The webhook secret is shown only now. Create a key with `paybridge keys create --merchant {}`."  # noqa: S105

app = typer.Typer(help="Create, list and show merchants.", no_args_is_help=True)


def _email(text: str) -> str:
    if len(text) > EMAIL_CHARACTERS_MAX or not re.fullmatch(EMAIL_PATTERN, text):
        raise typer.BadParameter(f"{text!r} is not one address, such as pay@acme.example")
    return text


def _phone(text: str) -> str:
    if not re.fullmatch(PHONE_PATTERN, text):
        raise typer.BadParameter(f"{text!r} is not a number by E.164, such as +4930123456")
    return text


def _pattern(text: str) -> str:
    if not is_pattern(text):
        raise typer.BadParameter(f"{text!r} chooses no event. Use a type, a family such as payment.*, or *")
    if not is_notify_pattern(text):
        raise typer.BadParameter(f"{text} is never sent by e-mail and SMS. Choose other events")
    return text


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(parser=parse_name, metavar="NAME", help="The merchant's name.")],
    email: Annotated[str | None, typer.Option(parser=_email, metavar="ADDRESS", help="For notifications.")] = None,
    phone: Annotated[str | None, typer.Option(parser=_phone, metavar="NUMBER", help="For SMS, by E.164.")] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option(parser=_pattern, metavar="PATTERN", help="Events to notify of. May be repeated."),
    ] = None,
    per_second: PerSecond = None,
    burst: Burst = None,
    json: AsJson = False,
) -> None:
    """Create a merchant, which has no API key yet."""
    from paybridge.access.create_merchant import create_merchant
    from paybridge.access.domain.merchants import MerchantDetails, merchant_view

    patterns = tuple(notify or ())
    if len(patterns) > NOTIFY_MAX:
        raise typer.BadParameter(f"give at most {NOTIFY_MAX} patterns")
    limit = rate_limit_of(per_second, burst)
    details = MerchantDetails(name=name, email=email, phone=phone, notify=patterns, rate_limit=limit)
    session = started(context)
    created = create_merchant(session.database, session.clock, session.ids, details)
    print_view({**merchant_view(created.merchant), "webhook_secret": created.webhook_secret}, json)
    if not json:
        print(SECRET_SHOWN_ONCE.format(created.merchant.id))


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20, cursor: Cursor = None, json: AsJson = False) -> None:
    """List merchants, newest first."""
    from paybridge.access.domain.merchants import merchant_view
    from paybridge.access.read_merchants import list_merchants

    page = list_merchants(started(context).database, cursor=cursor, limit=limit)
    views = [merchant_view(merchant) for merchant in page.merchants]
    print_page(views, page.next_cursor, COLUMNS, "There are no merchants.", json)


@app.command()
def show(
    context: typer.Context,
    merchant_id: Annotated[UUID, typer.Argument(parser=id_of("merchant"), metavar="ID", help="The merchant's id.")],
    json: AsJson = False,
) -> None:
    """Show a merchant."""
    from paybridge.access.domain.merchants import merchant_view
    from paybridge.access.read_merchants import read_merchant

    found = read_merchant(started(context).database, merchant_id)
    if found is None:
        raise fail(f"There is no merchant {merchant_id}.")
    print_view(merchant_view(found), json)
