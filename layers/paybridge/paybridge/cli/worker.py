"""`paybridge worker`: do the work of a function in a long-running process."""

from __future__ import annotations

from typing import Annotated

import typer

from paybridge import wiring
from paybridge.cli.session import started
from paybridge.wiring import broker
from paybridge.worker.assignments import NAMES, assignment

DESCRIPTION = """\
Do the work of a function in one long-running process, with its own connection to the broker.

\b
  relay           publish the outbox
  consumer        charge payments, from payments.new and its shards
  intake          accept payments ordered by message, from payments.intake
  webhooks        deliver webhooks, from the queue webhooks
  webhooks-retry  deliver webhooks to slow receivers, from the queue webhooks.retry
  notifier        send e-mails and SMS, from the queue notifications
  bridge          send events to the EventBridge bus, from the queue bridge
  ledger          post payments, refunds and payouts to the books, from the queue ledger
  dead-letters    record dead letters, from the queue payments.dead

The environment variables are those of the functions. SIGTERM ends the worker once the batch in hand is done.
Start more processes for more throughput; a service manager restarts a worker that dies.
"""


def _worker_name(text: str) -> str:
    if text not in NAMES:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(NAMES)}")
    return text


def work(
    context: typer.Context,
    name: Annotated[str, typer.Argument(parser=_worker_name, metavar="NAME", help=", ".join(NAMES))],
    queue: Annotated[
        list[str] | None, typer.Option(metavar="QUEUE", help="Consume this queue only. May be repeated.")
    ] = None,
) -> None:
    """Run a worker until it is stopped."""
    started(context)
    # Before anything else is imported: loggers take the name when they are made.
    wiring.name_process(f"worker-{name}")
    wanted = assignment(name, queue or [], broker.payment_shards())
    from paybridge.worker.process import run_process

    raise typer.Exit(run_process(wanted))
