"""`paybridge register`: create a merchant, or an API key for a staff member."""

from __future__ import annotations

from typing import Annotated

import typer

from paybridge.access.domain.caller import Role
from paybridge.cli.session import started


def _name(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("a merchant or staff member needs a name, such as Acme")
    return text


def register(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(parser=_name, metavar="NAME", help="Name of the merchant or of the key's owner.")
    ],
    role: Annotated[Role, typer.Option(help="Role of the API key.")] = Role.MERCHANT,
) -> None:
    """Create a merchant, or an API key for a staff member."""
    from paybridge.access.new_secrets import new_api_key, new_webhook_secret
    from paybridge.access.register import register_merchant

    session = started(context)
    api_key, webhook_secret = new_api_key(), new_webhook_secret()
    merchant_id = register_merchant(
        session.database, name=name, api_key=api_key, webhook_secret=webhook_secret, role=role
    )
    if merchant_id is not None:
        print(f"merchant id     {merchant_id}\nwebhook secret  {webhook_secret}")
    print(f"API key         {api_key}\nOnly a hash of the key is stored: this is the only time it is shown.")
