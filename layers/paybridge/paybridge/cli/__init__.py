"""The operator's command: `python -m paybridge.cli`, with the environment variables of the functions.

Exit codes: 0 done, 1 refused or failed, 2 wrong arguments or settings.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence

import typer
from typer.main import get_command

from paybridge.cli import (
    analytics,
    archive,
    dead_letters,
    events,
    keys,
    ledger,
    merchants,
    outbox,
    payments,
    payouts,
    publish,
    reconcile,
    refunds,
    register,
    replay,
    verify,
    webhooks,
    worker,
)
from paybridge.cli.session import CommandSession, user_of_this_machine
from paybridge.core.errors import PaybridgeError, SettingsInvalid
from paybridge.worker.assignments import AssignmentInvalid

UNUSABLE = 2
# What PostgreSQL cannot store. Bytes of a terminal that are not UTF-8 arrive as surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def main(
    arguments: Sequence[str] | None = None,
    prepare: Callable[[], None] | None = None,
    actor: str | None = None,
    add_commands: Callable[[typer.Typer], None] | None = None,
) -> int:
    """Run one command and return its exit code. `prepare` may set the variables, once the arguments are accepted.

    `actor` is recorded with what the command changes. Without one it is the user of this machine. `add_commands` may
    add commands that only its caller has.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(map(_UNSTORABLE.search, arguments)):
        print("An argument is not valid text. Use UTF-8 without NUL.", file=sys.stderr)
        return UNUSABLE
    session = CommandSession(prepare, actor or user_of_this_machine())
    try:
        app = make_app()
        if add_commands is not None:
            add_commands(app)
        code = get_command(app).main(list(arguments), "paybridge", standalone_mode=False, obj=session)
        # A command returns the code of typer.Exit, and otherwise None.
        return code or 0
    except typer.TyperException as error:
        print(_sentence(error), file=sys.stderr)
        return UNUSABLE
    except (SettingsInvalid, AssignmentInvalid) as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except PaybridgeError as error:
        print(error, file=sys.stderr)
        return 1


def make_app() -> typer.Typer:
    """Return the command with all its groups."""
    app = typer.Typer(
        help="Operate Paybridge. Exit codes: 0 done, 1 refused or failed, 2 wrong arguments or settings.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    app.add_typer(payments.app, name="payments")
    app.add_typer(refunds.app, name="refunds")
    app.add_typer(payouts.app, name="payouts")
    app.add_typer(ledger.app, name="ledger")
    app.add_typer(merchants.app, name="merchants")
    app.add_typer(keys.app, name="keys")
    app.add_typer(webhooks.app, name="webhooks")
    app.add_typer(events.app, name="events")
    app.add_typer(dead_letters.app, name="dead-letters")
    app.add_typer(reconcile.app, name="reconcile")
    app.add_typer(replay.app, name="replay")
    app.add_typer(analytics.app, name="analytics")
    app.add_typer(archive.app, name="archive")
    app.add_typer(outbox.app, name="outbox")
    app.command("payment")(payments.show)
    app.command("publish", help=publish.DESCRIPTION)(publish.publish)
    app.command("register")(register.register)
    app.command("verify", help=verify.DESCRIPTION)(verify.verify)
    app.command("worker", help=worker.DESCRIPTION)(worker.work)
    return app


def _sentence(error: typer.TyperException) -> str:
    """Explain a wrong argument in one sentence. Without any argument, the message is the help itself."""
    message = error.format_message().rstrip()
    if "\n" in message:
        return message
    return f"{message.removesuffix('.')}. `--help` explains the arguments."
