"""The operator's command: `python -m paybridge.cli`, with the environment variables of the functions."""

from __future__ import annotations

import argparse
import base64
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

from paybridge import wiring
from paybridge.access.domain import Role
from paybridge.cli import dead_letters
from paybridge.core.errors import PaybridgeError, SettingsInvalid
from paybridge.payments.domain.operation import FIRST_KINDS
from paybridge.wiring import broker
from paybridge.worker.assignments import NAMES, AssignmentInvalid, assignment

if TYPE_CHECKING:
    from paybridge.payments.diagnose import Diagnosis
    from paybridge.payments.domain.query import TimelineEntry

UNUSABLE = 2
# Of entries in a row that are alike: the first and the last.
REPEATS_SHOWN = 2
_GATEWAY_ENDS = (
    "gateway.attempt_unknown",
    "gateway.attempt_succeeded",
    "gateway.attempt_declined",
    "gateway.attempt_partial",
    "gateway.attempt_rate_limited",
)
_LIKE_DETAILS = ("error", "response_status", "delivery_id", "operation_id")
# Long enough that it cannot be guessed. Standard Webhooks requires 24 to 64 bytes.
SECRET_BYTES = 32
# What PostgreSQL cannot store. Bytes of a terminal that are not UTF-8 arrive as surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

WORKER_DESCRIPTION = """\
Do the work of a function in one long-running process, with its own connection to the broker:
  relay           publish the outbox
  consumer        charge payments, from payments.new and its shards
  webhooks        deliver webhooks, from the queue webhooks
  webhooks-retry  deliver webhooks to slow receivers, from the queue webhooks.retry
  dead-letters    record dead letters, from the queue payments.dead
The environment variables are those of the functions. SIGTERM ends the worker once the batch in hand is done.
Start more processes for more throughput; a service manager restarts a worker that dies.
"""


def main(
    arguments: Sequence[str] | None = None, prepare: Callable[[], None] | None = None, actor: str | None = None
) -> int:
    """Run one command and return its exit code. `prepare` may set the variables, once the arguments are accepted.

    `actor` is recorded with what the command changes. Without one it is the user of this machine.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(map(_UNSTORABLE.search, arguments)):
        print("An argument is not valid text. Use UTF-8 without NUL.", file=sys.stderr)
        return UNUSABLE
    options = _parser().parse_args(arguments)
    options.actor = actor
    try:
        if prepare is not None:
            prepare()
        return int(options.run(options))
    except (SettingsInvalid, AssignmentInvalid) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except PaybridgeError as error:
        print(error, file=sys.stderr)
        return 1


class _Parser(argparse.ArgumentParser):
    """Explains a wrong argument in one sentence instead of the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{message[0].upper()}{message[1:]}. `{self.prog} --help` explains the arguments.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="paybridge", description="Operate Paybridge.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    payment = commands.add_parser("payment", help="show a payment's status and history")
    payment.add_argument("payment_id", type=_payment_id, metavar="ID", help="the payment's id")
    payment.set_defaults(run=_show_payment)
    register = commands.add_parser("register", help="create a merchant, or an API key for a staff member")
    register.add_argument("name", type=_name, metavar="NAME", help="name of the merchant or of the key's owner")
    register.add_argument(
        "--role",
        choices=[role.value for role in Role],
        default=Role.MERCHANT.value,
        help="role of the API key (default merchant)",
    )
    register.set_defaults(run=_register)
    dead_letters.add_commands(commands)
    worker = commands.add_parser(
        "worker",
        help="do the work of a function in a long-running process",
        description=WORKER_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    worker.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    worker.add_argument(
        "--queue", action="append", default=[], metavar="QUEUE", help="consume this queue only; may be repeated"
    )
    worker.set_defaults(run=_work)
    return parser


def _payment_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the id of a payment, such as 01a1fd50-1a0a-70e7-9753-804a71418b4e"
        ) from None


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a merchant or staff member needs a name, such as Acme")
    return text


def _work(options: argparse.Namespace) -> int:
    # Before anything else is imported: loggers take the name when they are made.
    wiring.name_process(f"worker-{options.name}")
    wanted = assignment(options.name, options.queue, broker.payment_shards())
    from paybridge.worker.process import run_process

    return run_process(wanted)


def _show_payment(options: argparse.Namespace) -> int:
    from paybridge.payments.diagnose import diagnose_payment

    found = diagnose_payment(wiring.database(), wiring.clock(), options.payment_id)
    if found is None:
        print(f"There is no payment {options.payment_id}.", file=sys.stderr)
        return 1
    print(_rendered(found))
    return 0


def _register(options: argparse.Namespace) -> int:
    from paybridge.access.register import register_merchant

    api_key = f"pbk_{secrets.token_urlsafe(SECRET_BYTES)}"
    webhook_secret = f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"
    merchant_id = register_merchant(
        wiring.database(), name=options.name, api_key=api_key, webhook_secret=webhook_secret, role=options.role
    )
    if merchant_id is not None:
        print(f"merchant id     {merchant_id}\nwebhook secret  {webhook_secret}")
    print(f"API key         {api_key}\nOnly a hash of the key is stored: this is the only time it is shown.")
    return 0


def _rendered(found: Diagnosis) -> str:
    from paybridge.core.money import format_places

    payment = found.payment
    amount = format_places(payment.amount_minor, payment.currency_places)
    lines = [
        f"{payment.id}  {amount} {payment.currency}  {payment.status}",
        f"merchant {payment.merchant_id}, correlation id {payment.correlation_id}",
        "",
        *_lines(found.timeline),
        "",
        found.explanation,
        # The explanation of the payment is about its charge or authorization.
        *(each.explanation for each in found.operations if each.operation.id != payment.id),
    ]
    return "\n".join(lines)


def _lines(timeline: Sequence[TimelineEntry]) -> list[str]:
    """Return the lines of a timeline. Of attempts in a row that ended alike, only the first and the last are shown."""
    ended = {_attempt(entry) for entry in timeline if entry.type.startswith(_GATEWAY_ENDS)}
    shown = [
        entry
        for entry in timeline
        # An attempt that has ended has a line about its end.
        if entry.type != "gateway.attempt_started" or _attempt(entry) not in ended
    ]
    lines: list[str] = []
    for _, group in groupby(shown, key=_likeness):
        alike = list(group)
        lines.append(_line(alike[0]))
        if len(alike) > REPEATS_SHOWN:
            lines.append(f"  … {len(alike) - REPEATS_SHOWN} more like this …")
        lines += [_line(entry) for entry in alike[1:][-1:]]
    return lines


def _attempt(entry: TimelineEntry) -> tuple[object, object]:
    return entry.details.get("operation_id"), entry.details.get("number")


def _likeness(entry: TimelineEntry) -> tuple[object, ...]:
    """Return what entries that repeat each other have in common. No two events do."""
    if not entry.type.startswith(("gateway.attempt_", "webhook.attempt_")):
        return (id(entry),)
    return (entry.type, *(entry.details.get(name) for name in _LIKE_DETAILS))


def _line(entry: TimelineEntry) -> str:
    details = ", ".join(
        f"{name} {value}"
        for name, value in entry.details.items()
        if value is not None and not name.endswith("_id") and name != "operation"
    )
    described = ", ".join(part for part in (_operation(entry), details) if part)
    return f"  {entry.at:%Y-%m-%d %H:%M:%S.%f}  {entry.type:<26}{described}".rstrip()


def _operation(entry: TimelineEntry) -> str:
    """Name the operation or refund of the entry, but not the charge or authorization: its id is the payment's."""
    match entry.details:
        case {"operation": str(kind), "operation_id": id_} if kind not in FIRST_KINDS:
            return f"{kind} {id_}"
        case {"refund_id": id_}:
            return f"refund {id_}"
    return ""
