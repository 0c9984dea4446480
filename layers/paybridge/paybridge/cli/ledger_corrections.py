"""`paybridge ledger correct|corrections`: take a wrong journal back, and list what was taken back."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import KeyOption, id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_json, print_page, print_table, print_view
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be posted, and post nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Take the journal of an event back by a new one with the opposite transfers. Both stay in the books."""
    from paybridge.core.errors import InvalidInput
    from paybridge.ledger.correct_journal import (
        CorrectionKeyTaken,
        CorrectionOrder,
        correct_journal,
        preview_correction,
    )
    from paybridge.ledger.domain.corrections import CorrectionKey, preview_view

    chosen_key = key or new_idempotency_key()
    fingerprint = hashlib.sha256(f"{event_id} {reason}".encode()).digest()
    session = started(context)
    order = CorrectionOrder(
        event_id=event_id, reason=reason, actor=session.actor, key=CorrectionKey(chosen_key, fingerprint)
    )
    try:
        if dry_run:
            _show_preview(preview_view(preview_correction(session.database, session.clock, event_id, reason)), json)
            return
        result = correct_journal(session.database, session.clock, session.ids, order)
    except InvalidInput as refused:
        raise fail(f"{refused.detail} ({refused.code})") from None
    if isinstance(result, CorrectionKeyTaken):
        raise fail("This idempotency key was used for another correction. Choose another key.")
    print_view({**result.correction.view(), "idempotency_key": chosen_key}, json)


def _show_preview(view: dict[str, Any], json: bool) -> None:
    if json:
        print_json(view)
        return
    transfers = view.pop("transfers")
    print_view(view, json)
    print_table(["DEBIT", "CREDIT", "AMOUNT"], [list(each.values()) for each in transfers])
    print("Nothing was posted.")


def corrections(context: typer.Context, limit: Limit = 20, cursor: Cursor = None, json: AsJson = False) -> None:
    """List corrections, newest first."""
    from paybridge.ledger.read_corrections import list_corrections

    page = list_corrections(started(context).database, cursor=cursor, limit=limit)
    print_page([each.view() for each in page.corrections], page.next_cursor, COLUMNS, NONE, json)
