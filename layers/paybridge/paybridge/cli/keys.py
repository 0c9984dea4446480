"""`paybridge keys`: create, list, rotate and revoke API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.access.domain.api_keys import NAME_CHARACTERS_MAX, OVERLAP_SECONDS, OVERLAP_SECONDS_MAX
from paybridge.access.domain.caller import Role
from paybridge.cli.arguments import Burst, MerchantOption, PerSecond, id_of, parse_duration, parse_time, rate_limit_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_page, print_view
from paybridge.cli.session import CommandSession, started

if TYPE_CHECKING:
    from paybridge.access.create_key import NewKey

COLUMNS = {
    "KEY": "key_id",
    "ENDS IN": "last_four",
    "STATUS": "status",
    "ROLE": "role",
    "MERCHANT": "merchant_id",
    "NAME": "name",
    "EXPIRES": "expires_at",
    "LAST USED": "last_used_at",
}
KEY_SHOWN_ONCE = "Only a hash of the key is stored: this is the only time it is shown."

app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)


def _name(text: str) -> str:
    if not 1 <= len(text) <= NAME_CHARACTERS_MAX:
        raise typer.BadParameter(f"the name of a key has 1 to {NAME_CHARACTERS_MAX} characters")
    return text


def _overlap(text: str) -> timedelta:
    overlap = parse_duration(text)
    if overlap > timedelta(seconds=OVERLAP_SECONDS_MAX) or overlap % timedelta(seconds=1):
        raise typer.BadParameter(f"{text!r} is not a duration of whole seconds, at most 7d")
    return overlap


KeyId = Annotated[UUID, typer.Argument(parser=id_of("key"), metavar="ID", help="The key's id, which `list` shows.")]


@app.command()
def create(
    context: typer.Context,
    merchant: Annotated[
        UUID | None,
        typer.Option(parser=id_of("merchant"), metavar="ID", help="The merchant that the key is for. Not for staff."),
    ] = None,
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.MERCHANT,
    name: Annotated[str | None, typer.Option(parser=_name, metavar="TEXT", help="To recognize the key by.")] = None,
    expires_at: Annotated[
        Any, typer.Option(parser=parse_time, metavar="TIME", help="From then on it does not work. Never if absent.")
    ] = None,
    per_second: PerSecond = None,
    burst: Burst = None,
    json: AsJson = False,
) -> None:
    """Create a key for a merchant, or with --role for a staff member."""
    from paybridge.access.create_key import KeyCreator, KeyOrder, create_key

    limit = rate_limit_of(per_second, burst)
    order = KeyOrder(role=role, merchant_id=merchant, name=name, expires_at=expires_at, rate_limit=limit)
    session = started(context)
    created = create_key(session.database, session.clock, session.ids, order, created_by=KeyCreator(session.actor))
    _print_new(session, created, json)


@app.command("list")
def list_(
    context: typer.Context,
    merchant: MerchantOption = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List keys, newest first, expired and revoked ones too."""
    from paybridge.access.domain.api_keys import key_view
    from paybridge.access.list_keys import list_keys

    session = started(context)
    page = list_keys(session.database, merchant, cursor=cursor, limit=limit)
    now = session.clock.now()
    print_page([key_view(key, now) for key in page.keys], page.next_cursor, COLUMNS, "There are no such keys.", json)


@app.command()
def rotate(
    context: typer.Context,
    key_id: KeyId,
    overlap: Annotated[
        Any,
        typer.Option(parser=_overlap, metavar="DURATION", help="How long both keys work, such as 2h. 24h if absent."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make the successor of a key. The old key goes on working for a while."""
    from paybridge.access.create_key import KeyCreator, NewKey
    from paybridge.access.rotate_key import rotate_key

    session = started(context)
    rotated = rotate_key(
        session.database,
        session.clock,
        session.ids,
        None,
        key_id,
        overlap_seconds=OVERLAP_SECONDS if overlap is None else int(overlap.total_seconds()),
        created_by=KeyCreator(session.actor),
    )
    if rotated is None:
        raise _unknown(key_id)
    if not isinstance(rotated, NewKey):
        if rotated.replaced_by is not None:
            raise fail(f"The key was rotated before. Rotate its successor {rotated.replaced_by}.")
        raise fail(f"The key is {rotated.state(session.clock.now())}. Create a new one.")
    _print_new(session, rotated, json)


@app.command()
def revoke(context: typer.Context, key_id: KeyId, json: AsJson = False) -> None:
    """Revoke a key. It stops working within 5 seconds, and repeating the command changes nothing."""
    from paybridge.access.revoke_key import revoke_key

    session = started(context)
    if not revoke_key(session.database, session.clock, None, key_id, revoked_by=session.actor):
        raise _unknown(key_id)
    print_view({"key_id": str(key_id), "status": "revoked"}, json)


def _print_new(session: CommandSession, created: NewKey, as_json: bool) -> None:
    from paybridge.access.domain.api_keys import key_view

    print_view({**key_view(created.key, session.clock.now()), "api_key": created.api_key}, as_json)
    if not as_json:
        print(KEY_SHOWN_ONCE)


def _unknown(key_id: UUID) -> typer.Exit:
    return fail(f"There is no key {key_id}.")
