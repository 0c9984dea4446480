"""`paybridge dead-letters`: list, group, show, redrive and discard dead letters."""

from __future__ import annotations

import json as json_text
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from paybridge.cli.arguments import id_of
from paybridge.cli.output import AsJson, Cursor, Limit, fail, print_json, print_lines, print_page, print_view
from paybridge.cli.session import started
from paybridge.dead_letters.domain import State
from paybridge.wiring import dead_letters as dead_letter_wiring

if TYPE_CHECKING:
    from paybridge.dead_letters.domain import Selection

REASON_WIDTH_MAX = 80
RATE_MIN = 0.1
RATE_MAX = 1000.0

NONE = "There are no such dead letters."
NOTHING_DEAD = "There is nothing to redrive: only a dead letter in state dead can be."
COLUMNS = {
    "DEAD LETTER": "dead_letter_id",
    "STATE": "state",
    "LAST SEEN": "last_seen_at",
    "COUNT": "count",
    "QUEUE": "queue",
    "REASON": "reason",
}
GROUP_COLUMNS = {
    "FINGERPRINT": "fingerprint",
    "COUNT": "count",
    "LAST SEEN": "last_seen_at",
    "EXAMPLE": "example_id",
    "QUEUE": "queue",
    "REASON": "reason",
}

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")

app = typer.Typer(help="List, show, redrive and discard dead letters.", no_args_is_help=True)


def _fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not the fingerprint of a group, such as 0123456789abcdef")
    return text


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not RATE_MIN <= rate <= RATE_MAX:
        raise typer.BadParameter(f"{text!r} is not a number from {RATE_MIN:g} to {RATE_MAX:g}")
    return rate


def _note(text: str) -> str:
    if not 1 <= len(text.strip()) <= 1000 or "\0" in text:
        raise typer.BadParameter("a note has 1 to 1,000 characters")
    return text.strip()


DeadLetterId = Annotated[UUID, typer.Argument(parser=id_of("dead letter"), metavar="ID", help="The dead letter's id.")]
QueueFilter = Annotated[str | None, typer.Option("--queue", metavar="QUEUE", help="Those that died in this queue.")]
FingerprintFilter = Annotated[
    str | None,
    typer.Option("--fingerprint", parser=_fingerprint, metavar="FINGERPRINT", help="Those of one group."),
]
StateFilter = Annotated[State | None, typer.Option("--state", help="Those in this state.")]


@app.command("list")
def list_(
    context: typer.Context,
    queue: QueueFilter = None,
    fingerprint: FingerprintFilter = None,
    state: StateFilter = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    from paybridge.dead_letters.domain import dead_letter_view
    from paybridge.dead_letters.read import list_dead_letters

    selection = _selection(queue, fingerprint, state)
    page = list_dead_letters(started(context).database, selection, cursor=cursor, limit=limit)
    views = [dead_letter_view(letter) for letter in page.letters]
    print_page(views if json else [*map(_shortened, views)], page.next_cursor, COLUMNS, NONE, json)


@app.command()
def groups(
    context: typer.Context,
    queue: QueueFilter = None,
    fingerprint: FingerprintFilter = None,
    state: StateFilter = None,
    json: AsJson = False,
) -> None:
    """Count equal faults, largest first, with an example."""
    from paybridge.dead_letters.domain import group_view
    from paybridge.dead_letters.read import group_dead_letters

    found = group_dead_letters(started(context).database, _selection(queue, fingerprint, state))
    views = [group_view(group) for group in found]
    print_page(views if json else [*map(_shortened, views)], None, GROUP_COLUMNS, NONE, json)


@app.command()
def show(context: typer.Context, dead_letter_id: DeadLetterId, json: AsJson = False) -> None:
    """Show one with body, headers and what was done with it."""
    from paybridge.dead_letters.domain import content_view
    from paybridge.dead_letters.read import read_dead_letter

    content = read_dead_letter(started(context).database, dead_letter_id)
    if content is None:
        raise _unknown(dead_letter_id)
    view = content_view(content)
    if json:
        print_json(view)
    else:
        print_lines(_shown(view))


@app.command()
def redrive(
    context: typer.Context,
    ids: Annotated[
        list[UUID] | None,
        typer.Option("--id", parser=id_of("dead letter"), metavar="ID", help="This one. May be repeated."),
    ] = None,
    fingerprint: FingerprintFilter = None,
    queue: QueueFilter = None,
    rate: Annotated[
        float | None, typer.Option(parser=_rate, metavar="N", help="Messages a second. 20 if absent.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and change nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Publish dead letters again to the queue they died in: those of --id, --fingerprint or --queue."""
    from paybridge.dead_letters.domain import Selection
    from paybridge.dead_letters.redrive import RATE_PER_SECOND, RedriveOrder, plan_redrive, redrive_dead_letters

    if [bool(ids), fingerprint is not None, queue is not None].count(True) != 1:
        raise typer.BadParameter("give one of --id, --fingerprint and --queue")
    session = started(context)
    selection = Selection(ids=tuple(ids) if ids else None, fingerprint=fingerprint, queue=queue)
    order = RedriveOrder(selection=selection, rate_per_second=rate or RATE_PER_SECOND, actor=session.actor)
    answer = (plan_redrive if dry_run else redrive_dead_letters)(dead_letter_wiring.services(), order).body
    if json:
        print_json(answer)
    else:
        print_lines(_redriven(answer))


@app.command()
def discard(
    context: typer.Context,
    dead_letter_id: DeadLetterId,
    note: Annotated[str, typer.Option(parser=_note, metavar="TEXT", help="Why nothing more has to be done.")],
    json: AsJson = False,
) -> None:
    """Close one, with a note."""
    from paybridge.dead_letters.discard import Discarded, discard_dead_letter
    from paybridge.dead_letters.domain import dead_letter_view
    from paybridge.dead_letters.read import read_dead_letter

    session = started(context)
    services = dead_letter_wiring.services()
    outcome = discard_dead_letter(services, dead_letter_id, actor=session.actor, note=note)
    content = read_dead_letter(services.database, dead_letter_id)
    if outcome is Discarded.UNKNOWN or content is None:
        raise _unknown(dead_letter_id)
    if outcome is Discarded.NOT_DEAD:
        raise fail(f"The dead letter is {content.letter.state}. Discard it once it is dead again.")
    if json:
        print_view(dead_letter_view(content.letter), as_json=True)
    else:
        print(f"Discarded by {content.letter.closed_by}: {content.letter.note}")


def _selection(queue: str | None, fingerprint: str | None, state: State | None) -> Selection:
    from paybridge.dead_letters.domain import Selection

    return Selection(queue=queue, fingerprint=fingerprint, state=state)


def _shortened(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the view with a reason and a time that fit on a line."""
    return {**view, "reason": _short_reason(view), "last_seen_at": view["last_seen_at"][:19]}


def _short_reason(view: Mapping[str, Any]) -> str:
    reason = " ".join(str(view["reason"]).split())
    return reason if len(reason) <= REASON_WIDTH_MAX else f"{reason[: REASON_WIDTH_MAX - 1]}…"


def _shown(view: Mapping[str, Any]) -> Iterable[str]:
    apart = {"body", "headers", "deaths", "actions", "body_encoding", "body_truncated"}
    for name, value in view.items():
        if name not in apart and value is not None:
            yield f"{name:<18} {value}"
    for action in view["actions"]:
        yield f"{action['at'][:19]}  {action['action']} by {action['actor']}  {action['note'] or action['redrive_id']}"
    yield f"\nheaders {json_text.dumps(view['headers'], ensure_ascii=False)}"
    if view["deaths"]:
        yield f"deaths  {json_text.dumps(view['deaths'], ensure_ascii=False)}"
    shortened = ", the beginning only" if view["body_truncated"] else ""
    yield f"\nbody ({view['body_encoding']}{shortened}):\n{view['body']}"


def _redriven(answer: Mapping[str, Any]) -> Iterable[str]:
    would = answer["would"]
    yield _summary(answer) if answer["matched"] else NOTHING_DEAD
    for kind in would["publish"]:
        yield f"  {kind['count']:>7}  {kind['queue']}  {_short_reason(kind)}"
    if would["has_more"]:
        yield "There are more. Redrive again for the next part."
    if would["not_redrivable"]:
        yield f"Not redrivable, because not from a queue of ours: {would['not_redrivable']}. Discard what is left."


def _summary(answer: Mapping[str, Any]) -> str:
    noun = "message" if answer["matched"] == 1 else "messages"
    what = f"Redrive {answer['redrive_id']} publishes" if answer["redrive_id"] else "A redrive would publish"
    would = answer["would"]
    return f"{what} {answer['matched']} {noun} in {would['seconds']:g} s, at {would['rate_per_second']:g} a second."


def _unknown(id_: UUID) -> typer.Exit:
    return fail(f"There is no dead letter {id_}.")
