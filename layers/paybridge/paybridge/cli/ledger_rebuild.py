"""`paybridge ledger rebuild|rebuilds|cancel-rebuild|switch|books|drop-book`: prove the books, or replace them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_json, print_page, print_view
from paybridge.cli.session import started
from paybridge.wiring import rebuilds as rebuild_wiring

if TYPE_CHECKING:
    from paybridge.ledger.domain.rebuild import Rebuild
    from paybridge.ledger.ports import RebuildServices

# How often a command that follows a rebuild says how far it is, and looks again while it cannot work itself.
STEP_SECONDS = 1.0
DIFFERENT = 1
NONE = "There are no rebuilds."
COLUMNS = {
    "REBUILD": "rebuild_id",
    "STATE": "state",
    "EQUAL": "equal",
    "BOOK": "book",
    "JOURNALS": "journals",
    "CREATED": "created_at",
    "SWITCHED": "switched_at",
}
BOOK_COLUMNS = {
    "BOOK": "book",
    "STATE": "state",
    "RULES": "rules_version",
    "CREATED": "created_at",
    "SWITCHED": "switched_at",
    "NAME": "name",
}

RebuildId = Annotated[UUID, typer.Argument(parser=id_of("rebuild"), metavar="ID", help="The rebuild's id.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the group `ledger`."""
    app.command()(rebuild)
    app.command()(rebuilds)
    app.command("cancel-rebuild")(cancel_rebuild)
    app.command()(switch)
    app.command()(books)
    app.command("drop-book")(drop_book)


def rebuild(
    context: typer.Context,
    switch: Annotated[bool, typer.Option("--switch", help="Switch to the rebuilt book if it is equal.")] = False,
    wait: Annotated[
        int, typer.Option("--wait", min=0, max=3600, metavar="SECONDS", help="Wait so long for the live book.")
    ] = 60,
    rebuild_id: Annotated[
        UUID | None,
        typer.Option("--id", parser=id_of("rebuild"), metavar="ID", help="Go on with this rebuild. Begin none."),
    ] = None,
    look: Annotated[
        float | None,
        typer.Option("--look", min=0, metavar="SECONDS", help="Work and watch so long. Until the end if absent."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Build a second book from the event log and prove that it equals the live one.

    Exit codes: 0 the books are equal, or with --look it goes on; 1 they differ, or the rebuild or the switch failed.
    """
    from paybridge.core.archived_months import MonthsArchived
    from paybridge.ledger.rebuild import TooManyRebuilds, start_rebuild

    session = started(context)
    services = rebuild_wiring.services_over(session.database, session.clock, session.ids)
    if rebuild_id is None:
        try:
            begun = start_rebuild(services, actor=session.actor, switch=switch, wait_seconds=wait)
        except MonthsArchived as archived:
            raise fail(str(archived)) from None
        except TooManyRebuilds:
            raise fail(
                "Two rebuilds are running. Wait for one to finish, or cancel one: `paybridge ledger rebuilds`."
            ) from None
        rebuild_id = begun.id
    # A program reads the JSON, and on AWS standard error is part of the output.
    done = _follow(services, rebuild_id, look, _say_nothing if json else _progress())
    if json:
        print_json(done.view())
    else:
        print_view(_shown(done), as_json=False)
    code = _exit_code(done)
    if code:
        raise typer.Exit(code)


def rebuilds(context: typer.Context, limit: Limit = 20, cursor: Cursor = None, json: AsJson = False) -> None:
    """List rebuilds, newest first."""
    from paybridge.ledger.list_rebuilds import list_rebuilds

    page = list_rebuilds(started(context).database, cursor=cursor, limit=limit)
    print_page([each.view() for each in page.rebuilds], page.next_cursor, COLUMNS, NONE, json)


def cancel_rebuild(context: typer.Context, rebuild_id: RebuildId, json: AsJson = False) -> None:
    """End a rebuild that is running. Its book stays until it is dropped. The second time changes nothing."""
    from paybridge.ledger.cancel_rebuild import RebuildEnded
    from paybridge.ledger.cancel_rebuild import cancel_rebuild as cancel
    from paybridge.ledger.switch import RebuildUnknown

    session = started(context)
    services = rebuild_wiring.services_over(session.database, session.clock, session.ids)
    try:
        canceled = cancel(services, rebuild_id, session.actor)
    except RebuildUnknown:
        raise _unknown(rebuild_id) from None
    except RebuildEnded:
        raise fail("The rebuild is finished or has failed. There is nothing to cancel.") from None
    print_view(canceled.view() if json else _shown(canceled), json)


def switch(
    context: typer.Context,
    rebuild_id: RebuildId,
    accept_differences: Annotated[
        str | None,
        typer.Option("--accept-differences", metavar="REASON", help="Switch to a book that differs, and say why."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Make a rebuilt book the live one. The second time changes nothing."""
    from paybridge.ledger.domain.rebuild import REASON_CHARACTERS_MAX
    from paybridge.ledger.switch import RebuildUnknown, SwitchRefused, switch_books

    if accept_differences is not None and not 1 <= len(accept_differences.strip()) <= REASON_CHARACTERS_MAX:
        raise typer.BadParameter(f"a reason has 1 to {REASON_CHARACTERS_MAX} characters")
    session = started(context)
    services = rebuild_wiring.services_over(session.database, session.clock, session.ids)
    try:
        done = switch_books(services, rebuild_id, actor=session.actor, accept_differences=accept_differences)
    except RebuildUnknown:
        raise _unknown(rebuild_id) from None
    except SwitchRefused as refused:
        raise fail(str(refused)) from None
    print_view(done.view() if json else _shown(done), json)


def books(context: typer.Context, json: AsJson = False) -> None:
    """List the books, newest first."""
    from paybridge.ledger.list_rebuilds import list_books

    views = [book.view() for book in list_books(started(context).database)]
    print_page(views, None, BOOK_COLUMNS, "There are no books.", json)


def drop_book(
    context: typer.Context,
    book: Annotated[int, typer.Argument(min=1, max=2**15 - 1, metavar="BOOK", help="The book's number.")],
    json: AsJson = False,
) -> None:
    """Drop a book that is retired or was never live."""
    from paybridge.ledger.drop_book import BookInUse, BookUnknown
    from paybridge.ledger.drop_book import drop_book as drop

    try:
        # A large book takes several minutes. The function long_jobs goes on with it if this is interrupted.
        is_gone = drop(started(context).database, book, 20.0)
    except BookUnknown:
        raise fail(f"There is no book {book}: `paybridge ledger books`.") from None
    except BookInUse as in_use:
        raise fail(str(in_use)) from None
    state = "dropped" if is_gone else "dropping"
    if json:
        print_json({"book": book, "state": state})
    else:
        print(f"Book {book} is gone." if is_gone else f"Book {book} is being dropped in the background.")


def _follow(
    services: RebuildServices, rebuild_id: UUID, look_seconds: float | None, say: Callable[[Rebuild], None]
) -> Rebuild:
    """Work on a rebuild, and say how far it is, until it ends or the time is over."""
    from paybridge.ledger.domain.rebuild import RebuildState
    from paybridge.ledger.rebuild import read_rebuild

    ends_at = None if look_seconds is None else time.monotonic() + look_seconds
    while True:
        before = time.monotonic()
        found = read_rebuild(services, rebuild_id)
        if found is None:
            raise _unknown(rebuild_id)
        say(found)
        if found.state is not RebuildState.RUNNING or (ends_at is not None and time.monotonic() >= ends_at):
            return found
        # Another process works on it, or the live book is behind.
        if time.monotonic() - before < STEP_SECONDS / 2:
            time.sleep(STEP_SECONDS)


def _say_nothing(_: Rebuild) -> None:
    """Keep the progress for those who ask."""


def _progress() -> Callable[[Rebuild], None]:
    """Return what says on standard error how far a rebuild is, when that has changed."""
    last = ""

    def say(found: Rebuild) -> None:
        nonlocal last
        waits = ", waiting for the live book" if found.view()["waiting_for_live_book"] else ""
        line = f"{found.phase} {found.progress:.0%}: {found.events} events, {found.compared} compared{waits}"
        if line != last:
            print(line, file=sys.stderr)
            last = line

    return say


def _exit_code(done: Rebuild) -> int:
    if done.failure is not None or done.switch_refusal is not None or done.equal is False:
        return DIFFERENT
    return 0


def _shown(done: Rebuild) -> dict[str, Any]:
    """Return the view without what says nothing."""
    view = done.view()
    return {name: value for name, value in view.items() if value not in (None, 0, False) or name == "equal"}


def _unknown(rebuild_id: UUID) -> typer.Exit:
    return fail(f"There is no rebuild {rebuild_id}: `paybridge ledger rebuilds`.")
