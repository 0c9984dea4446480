"""`paybridge ledger correct|corrections`: take a wrong journal back, and list what was taken back."""

from __future__ import annotations

import hashlib
from typing import Annotated
from uuid import UUID

import typer

from paybridge.cli.arguments import KeyOption, id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_page, print_view
from paybridge.cli.session import new_idempotency_key, started

NONE = "There are no corrections."
COLUMNS = {
    "CORRECTION": "correction_id",
    "RULE": "rule",
    "EVENT": "event_id",
    "CREATED": "created_at",
    "BY": "created_by",
    "REASON": "reason",
}


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `ledger`."""
    app.command()(correct)
    app.command()(corrections)


def correct(
    context: typer.Context,
    event_id: Annotated[
        UUID,
        typer.Argument(parser=id_of("event"), metavar="EVENT", help="The event of the journal, as entries show it."),
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why the journal is wrong. It stays in the books.")],
    key: KeyOption = None,
    json: AsJson = False,
) -> None:
    """Take the journal of an event back by a new one with the opposite transfers. Both stay in the books."""
    from paybridge.core.errors import InvalidInput
    from paybridge.ledger.correct_journal import CorrectionKeyTaken, CorrectionOrder, correct_journal
    from paybridge.ledger.domain.corrections import CorrectionKey

    chosen_key = key or new_idempotency_key()
    fingerprint = hashlib.sha256(f"{event_id} {reason}".encode()).digest()
    session = started(context)
    order = CorrectionOrder(
        event_id=event_id, reason=reason, actor=session.actor, key=CorrectionKey(chosen_key, fingerprint)
    )
    try:
        result = correct_journal(session.database, session.clock, session.ids, order)
    except InvalidInput as refused:
        raise fail(f"{refused.detail} ({refused.code})") from None
    if isinstance(result, CorrectionKeyTaken):
        raise fail("This idempotency key was used for another correction. Choose another key.")
    print_view({**result.correction.view(), "idempotency_key": chosen_key}, json)


def corrections(context: typer.Context, limit: Limit = 20, cursor: Cursor = None, json: AsJson = False) -> None:
    """List corrections, newest first."""
    from paybridge.ledger.read_corrections import list_corrections

    page = list_corrections(started(context).database, cursor=cursor, limit=limit)
    print_page([each.view() for each in page.corrections], page.next_cursor, COLUMNS, NONE, json)
