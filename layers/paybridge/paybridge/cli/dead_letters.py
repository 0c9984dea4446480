"""`paybridge dead-letters`: list, group, show, redrive and discard dead letters."""

from __future__ import annotations

import argparse
import getpass
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from paybridge import wiring
from paybridge.wiring import dead_letters as dead_letter_wiring

STATES = ("dead", "redriving", "redriven", "discarded")
REASON_WIDTH_MAX = 80
LIMIT_MAX = 100
RATE_MIN = 0.1
RATE_MAX = 1000.0

NONE = "There are no such dead letters."
NOTHING_DEAD = "There is nothing to redrive: only a dead letter in state dead can be."

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def add_commands(commands: Any) -> None:
    """Add the command and its subcommands to the parser of `paybridge`."""
    parser = commands.add_parser("dead-letters", help="list, show, redrive and discard dead letters")
    subcommands = parser.add_subparsers(required=True, metavar="ACTION")
    listed = _subcommand(subcommands, "list", _list, "list dead letters, newest first")
    _add_filters(listed)
    listed.add_argument(
        "--limit", type=_limit, default=20, metavar="N", help="at most this many, 1 to 100 (default 20)"
    )
    listed.add_argument("--cursor", metavar="CURSOR", help="continue where the previous page ended")
    _add_filters(_subcommand(subcommands, "groups", _groups, "count equal faults, largest first, with an example"))
    shown = _subcommand(subcommands, "show", _show, "show one with body, headers and what was done with it")
    shown.add_argument("id", type=_id, metavar="ID")
    redriven = _subcommand(subcommands, "redrive", _redrive, "publish dead letters again to the queue they died in")
    selector = redriven.add_mutually_exclusive_group(required=True)
    selector.add_argument("--id", type=_id, action="append", metavar="ID", help="this one; may be repeated")
    selector.add_argument("--fingerprint", type=_fingerprint, metavar="FINGERPRINT", help="those of one group")
    selector.add_argument("--queue", metavar="QUEUE", help="those that died in this queue")
    redriven.add_argument("--rate", type=_rate, metavar="N", help="messages a second (default 20)")
    redriven.add_argument("--dry-run", action="store_true", help="say what would happen, and change nothing")
    discarded = _subcommand(subcommands, "discard", _discard, "end the matter of one, with a note")
    discarded.add_argument("id", type=_id, metavar="ID")
    discarded.add_argument("--note", type=_note, required=True, metavar="TEXT", help="why nothing more is to do")


def _subcommand(subcommands: Any, name: str, run: Any, meaning: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subcommands.add_parser(name, help=meaning, description=meaning.capitalize() + ".")
    parser.add_argument("--json", action="store_true", help="print JSON, as the API answers")
    parser.set_defaults(run=run)
    return parser


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", metavar="QUEUE", help="only those that died in this queue")
    parser.add_argument("--fingerprint", type=_fingerprint, metavar="FINGERPRINT", help="only those of one group")
    parser.add_argument("--state", choices=STATES, help="only those in this state")


def _list(options: argparse.Namespace) -> int:
    from paybridge.dead_letters.domain import dead_letter_view
    from paybridge.dead_letters.read import list_dead_letters

    page = list_dead_letters(wiring.database(), _filters(options), cursor=options.cursor, limit=options.limit)
    views = [dead_letter_view(letter) for letter in page.letters]
    if options.json:
        return _print_json({"data": views, "has_more": page.next_cursor is not None, "next_cursor": page.next_cursor})
    width = _queue_width(views)
    _print_lines([_line(view, width) for view in views] or [NONE])
    if page.next_cursor is not None:
        print(f"There are more: --cursor {page.next_cursor}")
    return 0


def _groups(options: argparse.Namespace) -> int:
    from paybridge.dead_letters.domain import group_view
    from paybridge.dead_letters.read import group_dead_letters

    views = [group_view(group) for group in group_dead_letters(wiring.database(), _filters(options))]
    if options.json:
        return _print_json({"data": views, "has_more": False, "next_cursor": None})
    width = _queue_width(views)
    _print_lines([_group_line(view, width) for view in views] or [NONE])
    return 0


def _show(options: argparse.Namespace) -> int:
    from paybridge.dead_letters.domain import content_view
    from paybridge.dead_letters.read import read_dead_letter

    content = read_dead_letter(wiring.database(), options.id)
    if content is None:
        return _unknown(options.id)
    view = content_view(content)
    if options.json:
        return _print_json(view)
    _print_lines(_shown(view))
    return 0


def _redrive(options: argparse.Namespace) -> int:
    from paybridge.dead_letters.domain import Selection
    from paybridge.dead_letters.redrive import RATE_PER_SECOND, RedriveOrder, plan_redrive, redrive_dead_letters

    selection = Selection(
        ids=tuple(options.id) if options.id else None, fingerprint=options.fingerprint, queue=options.queue
    )
    order = RedriveOrder(selection=selection, rate_per_second=options.rate or RATE_PER_SECOND, actor=_actor(options))
    services = dead_letter_wiring.services()
    answer = (plan_redrive if options.dry_run else redrive_dead_letters)(services, order).body
    if options.json:
        return _print_json(answer)
    _print_lines(_redriven(answer))
    return 0


def _discard(options: argparse.Namespace) -> int:
    from paybridge.dead_letters.discard import Discarded, discard_dead_letter
    from paybridge.dead_letters.domain import dead_letter_view
    from paybridge.dead_letters.read import read_dead_letter

    services = dead_letter_wiring.services()
    outcome = discard_dead_letter(services, options.id, actor=_actor(options), note=options.note)
    content = read_dead_letter(services.database, options.id)
    if outcome is Discarded.UNKNOWN or content is None:
        return _unknown(options.id)
    if outcome is Discarded.NOT_DEAD:
        print(f"The dead letter is {content.letter.state}. Discard it once it is dead again.", file=sys.stderr)
        return 1
    if options.json:
        return _print_json(dead_letter_view(content.letter))
    print(f"Discarded by {content.letter.closed_by}: {content.letter.note}")
    return 0


def _actor(options: argparse.Namespace) -> str:
    """Return who is recorded with a change: the caller of the operate function, or the user of this machine."""
    if options.actor is not None:
        return str(options.actor)
    try:
        return f"paybridge command of {getpass.getuser()}"
    except (KeyError, OSError):
        # The user of a container may have no name.
        return "paybridge command"


def _filters(options: argparse.Namespace) -> Any:
    from paybridge.dead_letters.domain import Selection, State

    state = State(options.state) if options.state else None
    return Selection(queue=options.queue, fingerprint=options.fingerprint, state=state)


def _line(view: Mapping[str, Any], queue_width: int) -> str:
    return (
        f"{view['dead_letter_id']}  {view['state']:<9}  {view['last_seen_at'][:19]}  x{view['count']:<3} "
        f"{view['queue']:<{queue_width}}  {_shortened(view)}"
    )


def _group_line(view: Mapping[str, Any], queue_width: int) -> str:
    return (
        f"{view['fingerprint']}  {view['count']:>7}  {view['last_seen_at'][:19]}  {view['example_id']}  "
        f"{view['queue']:<{queue_width}}  {_shortened(view)}"
    )


def _queue_width(views: Sequence[Mapping[str, Any]]) -> int:
    """Return the width of the longest queue name, so that the reasons stand below each other."""
    return max((len(view["queue"]) for view in views), default=0)


def _shortened(view: Mapping[str, Any]) -> str:
    reason = " ".join(str(view["reason"]).split())
    return reason if len(reason) <= REASON_WIDTH_MAX else f"{reason[: REASON_WIDTH_MAX - 1]}…"


def _shown(view: Mapping[str, Any]) -> Iterable[str]:
    apart = {"body", "headers", "deaths", "actions", "body_encoding", "body_truncated"}
    for name, value in view.items():
        if name not in apart and value is not None:
            yield f"{name:<18} {value}"
    for action in view["actions"]:
        yield f"{action['at'][:19]}  {action['action']} by {action['actor']}  {action['note'] or action['redrive_id']}"
    yield f"\nheaders {json.dumps(view['headers'], ensure_ascii=False)}"
    if view["deaths"]:
        yield f"deaths  {json.dumps(view['deaths'], ensure_ascii=False)}"
    shortened = ", the beginning only" if view["body_truncated"] else ""
    yield f"\nbody ({view['body_encoding']}{shortened}):\n{view['body']}"


def _redriven(answer: Mapping[str, Any]) -> Iterable[str]:
    would = answer["would"]
    yield _summary(answer) if answer["matched"] else NOTHING_DEAD
    for kind in would["publish"]:
        yield f"  {kind['count']:>7}  {kind['queue']}  {_shortened(kind)}"
    if would["has_more"]:
        yield "There are more. Redrive again for the next part."
    if would["not_redrivable"]:
        yield f"Not redrivable, because not from a queue of ours: {would['not_redrivable']}. Discard what is left."


def _summary(answer: Mapping[str, Any]) -> str:
    noun = "message" if answer["matched"] == 1 else "messages"
    what = f"Redrive {answer['redrive_id']} publishes" if answer["redrive_id"] else "A redrive would publish"
    would = answer["would"]
    return f"{what} {answer['matched']} {noun} in {would['seconds']:g} s, at {would['rate_per_second']:g} a second."


def _unknown(id_: UUID) -> int:
    print(f"There is no dead letter {id_}.", file=sys.stderr)
    return 1


def _print_lines(lines: Iterable[str]) -> None:
    """Print texts of any sender. A control character could change the operator's terminal, so none is printed."""
    text = "\n".join(lines)
    print("".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text))


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2))
    return 0


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the id of a dead letter, such as 01a1fd50-1a0a-70e7-9753-804a71418b4e"
        ) from None


def _fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the fingerprint of a group, such as 0123456789abcdef")
    return text


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {LIMIT_MAX}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not RATE_MIN <= rate <= RATE_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {RATE_MIN:g} to {RATE_MAX:g}")
    return rate


def _note(text: str) -> str:
    if not 1 <= len(text.strip()) <= 1000 or "\0" in text:
        raise argparse.ArgumentTypeError("a note has 1 to 1,000 characters")
    return text.strip()
