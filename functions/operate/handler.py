"""The operate function: runs the operator's command inside the network, for callers with the right to invoke it."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import cli
from paybridge.observability.logging import logger

# Not `worker`, which runs until it is stopped, and not those of the local stack, `token` and `clock`.
COMMANDS = frozenset(
    {
        *("analytics", "archive", "dead-letters", "events", "keys", "ledger", "merchants", "outbox", "payment"),
        *("payments", "payouts", "publish", "reconcile", "refunds", "register", "replay", "verify", "webhooks"),
    }
)
ENDLESS = ["events", "follow"]
# With it `events follow` prints what is there, and ends.
LOOK = "--look="
# With it these work for so long. What is left is for the next invocation, or for the function long_jobs.
LONG = {("ledger", "rebuild"): LOOK, ("verify",): "--seconds="}
LONG_SECONDS = 20

log = logger()


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Run `{"arguments": ["payment", "…"]}` and return `{"exit_code", "output"}` as a terminal would show them.

    The output of a command may be secret, so the log has only its name.
    """
    arguments = event.get("arguments") if isinstance(event, dict) else None
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        return _refusal('An event is {"arguments": ["payment", "<id>"]}.')
    if not COMMANDS.intersection(arguments[:1]):
        *others, last = sorted(COMMANDS)
        return _refusal(f"The operate function runs only the commands {', '.join(others)} and {last}.")
    if arguments[: len(ENDLESS)] == ENDLESS and not any(argument.startswith(LOOK) for argument in arguments):
        return _refusal("The operate function cannot follow events. Use `paybridge events follow --environment NAME`.")
    for command, limit in LONG.items():
        if tuple(arguments[: len(command)]) == command and not any(each.startswith(limit[:-1]) for each in arguments):
            arguments = [*arguments, f"{limit}{LONG_SECONDS}"]
    log.info("running a command", extra={"command": arguments[0]})
    output = StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        # CloudTrail has the caller of this request.
        exit_code = cli.main(arguments, actor=f"operate request {context.aws_request_id}")
    return {"exit_code": exit_code, "output": output.getvalue()}


def _refusal(sentence: str) -> dict[str, Any]:
    return {"exit_code": cli.UNUSABLE, "output": f"{sentence}\n"}
