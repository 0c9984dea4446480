"""`paybridge register`: create a merchant, or an API key for a staff member."""

from __future__ import annotations

import base64
import secrets
from typing import Annotated

import typer

from paybridge.access.domain import Role
from paybridge.cli.session import started

# Long enough that it cannot be guessed. Standard Webhooks requires 24 to 64 bytes.
SECRET_BYTES = 32


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
    from paybridge.access.register import register_merchant

    session = started(context)
    api_key = f"pbk_{secrets.token_urlsafe(SECRET_BYTES)}"
    webhook_secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
    merchant_id = register_merchant(
        session.database, name=name, api_key=api_key, webhook_secret=webhook_secret, role=role
    )
    if merchant_id is not None:
        print(f"merchant id     {merchant_id}\nwebhook secret  {webhook_secret}")
    print(f"API key         {api_key}\nOnly a hash of the key is stored: this is the only time it is shown.")
