"""`paybridge register`: create a merchant, or an API key for a staff member."""

from __future__ import annotations

from typing import Annotated

import typer

from paybridge.access.domain.caller import Role
from paybridge.cli.arguments import parse_name
from paybridge.cli.output import AsJson, print_json
from paybridge.cli.session import started


def register(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(parser=parse_name, metavar="NAME", help="Name of the merchant or of the key's owner.")
    ],
    role: Annotated[Role, typer.Option(help="Role of the API key.")] = Role.MERCHANT,
    json: AsJson = False,
) -> None:
    """Create a merchant, or an API key for a staff member."""
    from paybridge.access.new_secrets import new_api_key, new_webhook_secret
    from paybridge.access.register import register_merchant

    session = started(context)
    api_key, webhook_secret = new_api_key(), new_webhook_secret()
    merchant_id = register_merchant(
        session.database, name=name, api_key=api_key, webhook_secret=webhook_secret, role=role
    )
    if json:
        owner = {} if merchant_id is None else {"merchant_id": str(merchant_id), "webhook_secret": webhook_secret}
        print_json({"role": str(role), **owner, "api_key": api_key})
        return
    if merchant_id is not None:
        print(f"merchant id     {merchant_id}\nwebhook secret  {webhook_secret}")
    print(f"API key         {api_key}\nOnly a hash of the key is stored: this is the only time it is shown.")
