"""`paybridge token`: print a JSON Web Token of the local issuer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from local.stack import seed
from paybridge.access.domain.caller import Role
from paybridge.access.domain.tokens import SUBJECT_CHARACTERS_MAX
from paybridge.cli.arguments import id_of, parse_duration
from paybridge.cli.output import AsJson, print_json
from paybridge.cli.session import started

VALID_FOR = timedelta(hours=1)


def _subject(text: str) -> str:
    if not text or len(text) > SUBJECT_CHARACTERS_MAX or not text.isprintable():
        raise typer.BadParameter(f"a subject has 1 to {SUBJECT_CHARACTERS_MAX} printable characters")
    return text


def token(
    context: typer.Context,
    role: Annotated[Role, typer.Option(help="Role of the caller.")] = Role.MERCHANT,
    merchant: Annotated[
        UUID | None,
        typer.Option(parser=id_of("merchant"), metavar="ID", help="The merchant. The demo merchant if absent."),
    ] = None,
    subject: Annotated[
        str, typer.Option(parser=_subject, metavar="TEXT", help="Recorded with what the caller does.")
    ] = "paybridge-token",
    valid_for: Annotated[
        Any, typer.Option(parser=parse_duration, metavar="DURATION", help="Such as 15m. 1h if absent.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Print a token of the local issuer, for `Authorization: Bearer`."""
    if role is not Role.MERCHANT and merchant is not None:
        raise typer.BadParameter("a token of the staff has no merchant: leave --merchant out")
    session = started(context)
    if role is Role.MERCHANT and merchant is None:
        merchant = seed.demo_merchant_id(session.database)
    claims = claims_of(role, merchant, subject, session.clock.now(), valid_for or VALID_FOR)
    text = signed(claims)
    if json:
        print_json({"token": text, "claims": claims})
    else:
        print(text)


def claims_of(
    role: Role, merchant_id: UUID | None, subject: str, now: datetime, valid_for: timedelta
) -> dict[str, Any]:
    """Return the claims of a token that is valid from `now` on."""
    claims: dict[str, Any] = {
        "iss": seed.JWT_ISSUER,
        "aud": seed.JWT_AUDIENCE,
        "sub": subject,
        "nbf": int(now.timestamp()),
        "exp": int((now + valid_for).timestamp()),
        "role": str(role),
    }
    return claims if merchant_id is None else {**claims, "merchant_id": str(merchant_id)}


def signed(claims: Mapping[str, Any]) -> str:
    """Return a token with these claims, signed by the local issuer."""
    # Only this needs what it loads.
    import jwt

    return jwt.encode({**claims}, seed.JWT_SECRET, algorithm="HS256", headers={"kid": seed.JWT_KEY_ID})
