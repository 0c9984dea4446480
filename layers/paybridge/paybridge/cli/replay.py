"""`paybridge replay`: publish facts of the event log again, to the queue of one consumer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import id_of, parse_time
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_json, print_lines, print_page
from paybridge.cli.session import started
from paybridge.outbox.consumers import EVENT_CONSUMERS, takes
from paybridge.replay.domain import (
    ENDED,
    RATE_PER_SECOND,
    RATE_PER_SECOND_MAX,
    RATE_PER_SECOND_MIN,
    TYPES_MAX,
    ReplayState,
    is_type,
)

if TYPE_CHECKING:
    from paybridge.replay.domain import Replay
    from paybridge.replay.ports import ReplayServices

# The function `operate` has 30 seconds for a command.
WAIT_SECONDS_MAX = 25
POLL_SECONDS = 0.5
COLUMNS = {
    "REPLAY": "replay_id",
    "STATE": "state",
    "CONSUMER": "consumer",
    "FROM": "from",
    "TO": "to",
    "PROGRESS": "progress",
    "EVENTS": "count",
    "BY": "created_by",
}

app = typer.Typer(help="Replay events to one consumer.", no_args_is_help=True)


def _consumer(text: str) -> str:
    if text not in EVENT_CONSUMERS:
        raise typer.BadParameter(f"{text!r} is no consumer of events. Use one of {', '.join(EVENT_CONSUMERS)}")
    return text


def _type(text: str) -> str:
    if not is_type(text):
        raise typer.BadParameter(f"{text!r} is no type of events, such as payment.succeeded or refund.*")
    return text


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not RATE_PER_SECOND_MIN <= rate <= RATE_PER_SECOND_MAX:
        raise typer.BadParameter(f"{text!r} is not a number from {RATE_PER_SECOND_MIN:g} to {RATE_PER_SECOND_MAX:g}")
    return rate


ReplayId = Annotated[UUID, typer.Argument(parser=id_of("replay"), metavar="ID", help="The replay's id.")]
Wait = Annotated[
    int,
    typer.Option(min=0, max=WAIT_SECONDS_MAX, metavar="N", help="Wait up to N seconds for the end, with progress."),
]


@app.command()
def start(
    context: typer.Context,
    consumer: Annotated[str, typer.Option(parser=_consumer, metavar="QUEUE", help="To the consumer of this queue.")],
    begin_at: Annotated[
        Any, typer.Option("--from", parser=parse_time, metavar="TIME", help="Facts from this time on.")
    ],
    end_at: Annotated[
        Any, typer.Option("--to", parser=parse_time, metavar="TIME", help="Facts before this time. Now if absent.")
    ] = None,
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", parser=_type, metavar="TYPE", help="Of this type or family. May be repeated."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(parser=_rate, metavar="N", help=f"Facts a second. {RATE_PER_SECOND:g} if absent.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and send nothing.")] = False,
    wait: Wait = 0,
    json: AsJson = False,
) -> None:
    """Publish the facts of a range again. A consumer that has processed an event does nothing about it."""
    from paybridge.core.archived_months import MonthsArchived
    from paybridge.replay.domain import ReplayOrder
    from paybridge.replay.start import OPEN_MAX, RangeEmpty, TooManyReplays, start_replay

    types = tuple(dict.fromkeys(type_ or ()))
    if len(types) > TYPES_MAX:
        raise typer.BadParameter(f"give at most {TYPES_MAX} types")
    for one in types:
        if not takes(EVENT_CONSUMERS[consumer], one):
            raise typer.BadParameter(f"{consumer} gets no events of {one}. It takes {_taken(consumer)}")
    session = started(context)
    services = _services()
    order = ReplayOrder(
        consumer=consumer,
        begin_at=begin_at,
        end_at=end_at or services.clock.now(),
        types=types,
        rate_per_second=rate or RATE_PER_SECOND,
        is_dry_run=dry_run,
        actor=session.actor,
    )
    if end_at is not None and begin_at >= end_at:
        raise typer.BadParameter("--to must be after --from")
    try:
        replay = start_replay(services, order)
    except RangeEmpty:
        raise fail("The range has no facts: --from is not in the past.") from None
    except MonthsArchived as error:
        raise fail(str(error)) from None
    except TooManyReplays:
        raise fail(f"{OPEN_MAX} replays have not ended. Wait for one of them, or cancel one.") from None
    _print(_waited(services, replay, wait), json)


@app.command("list")
def list_(context: typer.Context, limit: Limit = 20, cursor: Cursor = None, json: AsJson = False) -> None:
    """List replays, newest first."""
    from paybridge.replay.read import list_replays

    page = list_replays(started(context).database, cursor=cursor, limit=limit)
    views = [replay.view() for replay in page.replays]
    rows = views if json else [{**view, "count": sum(view["events"].values())} for view in views]
    print_page(rows, page.next_cursor, COLUMNS, "There are no replays.", json)


@app.command()
def show(context: typer.Context, replay_id: ReplayId, wait: Wait = 0, json: AsJson = False) -> None:
    """Show a replay and its progress."""
    from paybridge.replay.read import read_replay

    started(context)
    services = _services()
    replay = read_replay(services, replay_id)
    if replay is None:
        raise _unknown(replay_id)
    _print(_waited(services, replay, wait), json)


@app.command()
def pause(context: typer.Context, replay_id: ReplayId, json: AsJson = False) -> None:
    """Stop a replay until it is resumed."""
    from paybridge.replay.control import pause_replay

    _change(context, replay_id, pause_replay, json)


@app.command()
def resume(context: typer.Context, replay_id: ReplayId, json: AsJson = False) -> None:
    """Go on with a paused replay."""
    from paybridge.replay.control import resume_replay

    _change(context, replay_id, resume_replay, json)


@app.command()
def cancel(context: typer.Context, replay_id: ReplayId, json: AsJson = False) -> None:
    """End a replay. What was sent stays sent."""
    from paybridge.replay.control import cancel_replay

    _change(context, replay_id, cancel_replay, json)


def _change(
    context: typer.Context,
    replay_id: UUID,
    change: Callable[[ReplayServices, UUID, str], Replay | None],
    json: bool,
) -> None:
    from paybridge.replay.control import ReplayEnded

    session = started(context)
    try:
        replay = change(_services(), replay_id, session.actor)
    except ReplayEnded:
        raise fail("The replay is finished or canceled. Start another one for the rest.") from None
    if replay is None:
        raise _unknown(replay_id)
    _print(replay, json)


def _services() -> ReplayServices:
    from paybridge.wiring import replay as replay_wiring

    return replay_wiring.services()


def _waited(services: ReplayServices, replay: Replay, seconds: int) -> Replay:
    """Return the replay once it has ended or is paused, or after these seconds. Progress goes to standard error."""
    from paybridge.replay.read import read_replay

    ends_at = time.monotonic() + seconds
    while replay.state is ReplayState.RUNNING and time.monotonic() < ends_at:
        print(f"{replay.progress:6.1%}  {replay.checked} events", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
        replay = read_replay(services, replay.id) or replay
    return replay


def _print(replay: Replay, json: bool) -> None:
    if json:
        print_json(replay.view())
    else:
        print_lines(_lines(replay))


def _lines(replay: Replay) -> Iterable[str]:
    view = replay.view()
    kind = "Dry run" if replay.is_dry_run else "Replay"
    yield f"{kind} {replay.id} to {replay.consumer}: {replay.state}, {replay.progress:.1%}"
    yield f"  from {view['from']}"
    yield f"  to   {view['to']}"
    would = view["would"]
    if would is None:
        yield f"  sent {replay.checked}, at {replay.rate_per_second:g} a second"
    else:
        counted = f"{would['new']} new, {would['already_processed']} already processed"
        yield f"  would send {would['send']} in {would['seconds']:g} s: {counted}"
    for type_, count in view["events"].items():
        new = f", {replay.unseen.get(type_, 0)} new" if would is not None else ""
        yield f"  {count:>9}  {type_}{new}"
    if view["problem"]:
        yield f"  The broker refuses: {view['problem']}"
    if replay.state not in ENDED:
        yield f"  paybridge replay show {replay.id} --wait {WAIT_SECONDS_MAX}"


def _taken(consumer: str) -> str:
    return ", ".join(EVENT_CONSUMERS[consumer])


def _unknown(id_: UUID) -> typer.Exit:
    return fail(f"There is no replay {id_}.")
