"""`paybridge events`: list, show and follow events."""

from __future__ import annotations

import json as json_text
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import MerchantOption, id_of, parse_time
from paybridge.cli.output import AsJson, Limit, fail, print_json, print_table, print_view, printable
from paybridge.cli.session import started
from paybridge.core.errors import Unavailable

if TYPE_CHECKING:
    from paybridge.database.database import Database
    from paybridge.feed.domain import FeedEvent, FeedFilters, FeedPage, Position

POLL_SECONDS = 0.5
# One look reads so many events at most, and the next look follows at once.
FOLLOWED_EVENTS_MAX = 100
COLUMNS = ("EVENT", "CREATED", "TYPE", "SUBJECT", "SEQUENCE")

app = typer.Typer(help="List, show and follow events.", no_args_is_help=True)


def _types(text: str) -> str:
    from paybridge.feed.domain import matching_types

    if not matching_types(text):
        raise typer.BadParameter(f"{text!r} chooses no event. Use types, or families such as payment.*, with commas")
    return text


def _look(text: str) -> str:
    try:
        _position(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no position that an earlier look printed") from None
    return text


def _position(text: str) -> Position | None:
    """Return the position that an earlier look printed, None for the empty text of the first look."""
    from paybridge.feed.domain import parse_position

    return parse_position(text) if text else None


EventId = Annotated[UUID, typer.Argument(parser=id_of("event"), metavar="ID", help="The event's id.")]
After = Annotated[
    UUID | None, typer.Option(parser=id_of("event"), metavar="ID", help="Continue after the event with this id.")
]
TypeFilter = Annotated[
    str | None,
    typer.Option("--type", parser=_types, metavar="TYPES", help="Only these, such as payment.*,refund.failed."),
]
PaymentFilter = Annotated[
    UUID | None, typer.Option(parser=id_of("payment"), metavar="ID", help="Only those of this payment.")
]

# The function `operate` cannot run a command without an end. `paybridge` repeats this one instead (infra/follow.py).
LookFrom = Annotated[
    str | None,
    typer.Option(
        parser=_look, metavar="POSITION", hidden=True, help="Print what is there, and the position for the next look."
    ),
]


@app.command("list")
def list_(
    context: typer.Context,
    merchant: MerchantOption = None,
    type_: TypeFilter = None,
    payment: PaymentFilter = None,
    created_from: Annotated[Any, typer.Option(parser=parse_time, metavar="TIME", help="Created at or after.")] = None,
    created_to: Annotated[Any, typer.Option(parser=parse_time, metavar="TIME", help="Created before.")] = None,
    after: After = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List events, oldest first. --after goes on where the last list ended."""
    from paybridge.feed.domain import event_view
    from paybridge.feed.read_events import position_after

    database = started(context).database
    filters = _filters(type_, payment, created_from, created_to)
    page = _read_full(database, merchant, filters, position_after(database, merchant, after), limit)
    last_id = str(page.events[-1].id) if page.events else None
    if json:
        data = [event_view(event) for event in page.events]
        print_json({"data": data, "has_more": page.has_more, "next_cursor": last_id})
    elif last_id is None:
        print("There are no such events.")
    else:
        print_table(COLUMNS, map(_row, page.events))
        if page.has_more:
            print(f"There are more: --after {last_id}")


@app.command()
def show(context: typer.Context, event_id: EventId, json: AsJson = False) -> None:
    """Show an event."""
    from paybridge.feed.domain import event_view
    from paybridge.feed.read_events import read_event

    found = read_event(started(context).database, None, event_id)
    if found is None:
        raise fail(f"There is no event {event_id}.")
    print_view(event_view(found), json)


@app.command()
def follow(
    context: typer.Context,
    merchant: MerchantOption = None,
    type_: TypeFilter = None,
    payment: PaymentFilter = None,
    after: After = None,
    look: LookFrom = None,
    json: AsJson = False,
) -> None:
    """Print events as they happen until Ctrl-C, one a line. With --after, begin with those after that event."""
    database = started(context).database
    filters = _filters(type_, payment, None, None)
    line = _json_line if json else _text_line
    if look is not None:
        begin = _position(look) or _begin(database, merchant, after)
        _print_look(_read_look(database, merchant, filters, begin), line)
        return
    try:
        for event in _followed(database, merchant, filters, after):
            print(line(event), flush=True)
    except KeyboardInterrupt:
        return


def _print_look(page: FeedPage, line: Callable[[FeedEvent], str]) -> None:
    for event in page.events:
        print(line(event))
    print(json_text.dumps({"look": str(page.end), "has_more": page.has_more}))


def _filters(type_: str | None, payment: UUID | None, created_from: Any, created_to: Any) -> FeedFilters:
    from paybridge.core.events import PUBLIC_TYPES
    from paybridge.feed.domain import FeedFilters, matching_types

    types = PUBLIC_TYPES if type_ is None else matching_types(type_)
    return FeedFilters(types=types, payment_id=payment, created_from=created_from, created_to=created_to)


def _read_full(
    database: Database, merchant: UUID | None, filters: FeedFilters, after: Position, limit: int
) -> FeedPage:
    """Return a page of `limit` events, or all that are left. A page of the feed may end before, if few match."""
    from paybridge.feed.domain import FeedPage
    from paybridge.feed.read_events import read_page

    page = read_page(database, merchant, filters, after, limit)
    events = [*page.events]
    while page.has_more and len(events) < limit:
        page = read_page(database, merchant, filters, page.end, limit - len(events))
        events += page.events
    return FeedPage(page.end, events, page.has_more)


def _begin(database: Database, merchant: UUID | None, after: UUID | None) -> Position:
    """Return where following begins: after the event, or with what is new."""
    from paybridge.feed.read_events import end_of_feed, position_after

    return end_of_feed(database) if after is None else position_after(database, merchant, after)


def _read_look(database: Database, merchant: UUID | None, filters: FeedFilters, after: Position) -> FeedPage:
    from paybridge.feed.read_events import read_page

    return read_page(database, merchant, filters, after, FOLLOWED_EVENTS_MAX)


def _followed(
    database: Database, merchant: UUID | None, filters: FeedFilters, after: UUID | None
) -> Iterator[FeedEvent]:
    """Yield events for ever. While the database is away, say so once and try again."""
    from paybridge.feed.domain import FeedPage

    end = _begin(database, merchant, after)
    was_away = False
    while True:
        try:
            page = _read_look(database, merchant, filters, end)
        except Unavailable:
            if not was_away:
                print("The database does not answer. Trying again.", file=sys.stderr)
            page, was_away = FeedPage(end), True
        else:
            was_away = False
        yield from page.events
        end = page.end
        if not page.has_more:
            time.sleep(POLL_SECONDS)


def _row(event: FeedEvent) -> tuple[object, ...]:
    from paybridge.core.times import format_time

    subject = f"{event.subject_type} {event.subject_id}"
    return (event.id, format_time(event.created_at), event.type, subject, event.sequence)


def _text_line(event: FeedEvent) -> str:
    return printable("  ".join(map(str, _row(event))))


def _json_line(event: FeedEvent) -> str:
    from paybridge.feed.domain import event_view

    return json_text.dumps(event_view(event))
