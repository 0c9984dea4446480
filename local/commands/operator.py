"""The operator's command `paybridge`, on the local stack unless an environment is named.

`.venv/bin/paybridge` runs this module. `--environment dev`, or ENVIRONMENT=dev, leads a command to AWS, and the
variables of the functions lead it to the database that they name.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import typer

from local.clock.offset import keep_stack_time
from local.commands.supervision import nothing_runs
from local.errors import LocalError
from local.servers.processes import running
from local.settings import AWS_KEYS, AWS_REGION, PROJECT, LocalSettings
from local.stack import seed
from local.stack.stack import Stack
from paybridge import cli

# It does the work of a function in this process, so it runs where its variables lead, never in the function `operate`.
WORKER = "worker"
# These work with what only the local stack has: its issuer of tokens and its test clock.
LOCAL_ONLY = frozenset({"token", "clock"})
# A shell sets this to ask for completions.
COMPLETION = "_PAYBRIDGE_COMPLETE"
# These ask about the command itself, and nothing of an environment.
ABOUT_ITSELF = frozenset({"--help", "--install-completion", "--show-completion"})
# Any of these names an environment. None of them has a default.
NAMING = frozenset({"DATABASE_HOST", "DATABASE_SECRET_ID", "BROKER_URL", "BROKER_SECRET_ID"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of `paybridge` and return its exit status. Print an error as one sentence."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if COMPLETION in os.environ or ABOUT_ITSELF.intersection(arguments):
        return cli.main(arguments, add_commands=add_local_commands)
    arguments, environment = _without_environment(arguments)
    environment = environment or os.environ.get("ENVIRONMENT", "")
    refusal = _refusal(arguments[:1], environment)
    if refusal:
        print(refusal, file=sys.stderr)
        return cli.UNUSABLE
    if environment and WORKER not in arguments[:1]:
        # Only this needs what it loads.
        from infra import operate

        return operate.main([environment, *arguments])
    try:
        status = run(arguments)
        sys.stdout.flush()
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of the output, such as `head`, has read enough. Python would complain again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _refusal(command: Sequence[str], environment: str) -> str:
    """Return why the command does not run where it is led; empty if it does."""
    is_elsewhere = bool(environment) or not NAMING.isdisjoint(os.environ)
    if is_elsewhere and LOCAL_ONLY.intersection(command):
        return f"`paybridge {command[0]}` works on the local stack alone."
    return ""


def _without_environment(arguments: Sequence[str]) -> tuple[list[str], str]:
    """Return the arguments without `--environment NAME`, and the name; the name is empty if none is given."""
    parser = argparse.ArgumentParser(prog="paybridge", add_help=False, allow_abbrev=False)
    parser.add_argument("--environment", default="")
    options, others = parser.parse_known_args(arguments)
    return others, options.environment


def run(arguments: Sequence[str]) -> int:
    """Run one command in this process, on the local stack unless the functions' variables are set."""
    if not NAMING.isdisjoint(os.environ):
        return cli.main(arguments)
    return cli.main(arguments, prepare=_name_local_stack, add_commands=add_local_commands)


def add_local_commands(app: typer.Typer) -> None:
    """Add the commands that work on the local stack alone."""
    # They load what the other commands do not need.
    from local.commands import clock, tokens, verify

    app.callback()(_explain_environment)
    app.command("token")(tokens.token)
    app.add_typer(clock.app, name="clock")
    # In place of the command that every environment has.
    app.command("verify")(verify.verify)


def _explain_environment(
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Work on this deployment on AWS, such as dev or prod, in place of the local stack. "
            "ENVIRONMENT=NAME does the same.",
        ),
    ] = None,
) -> None:
    """Take the option for the help and for completions. `main` has taken it out of the arguments of a command."""


def _name_local_stack() -> None:
    """Set the variables of the functions to those of the running stack. Raises LocalError if none runs."""
    settings = LocalSettings.load()
    if not running(settings.state_dir):
        raise LocalError(
            f"{nothing_runs(settings)} Start the stack with `make up`, or name an environment, as in --environment dev."
        )
    running_settings = settings.as_running()
    os.environ.update(variables_of(running_settings))
    keep_stack_time(Stack(running_settings).clock_variables)


def variables_of(settings: LocalSettings) -> Mapping[str, str]:
    """Return the variables by which a process on this machine operates the stack: those of the function `operate`."""
    # Only this needs what it loads.
    from infra.sam_template.template import read_template
    from local.servers import postgres, rabbitmq

    # Containers know this machine by another address.
    settings = replace(settings, container_host="")
    urls = postgres.database_url_of(settings), rabbitmq.functions_url_of(settings)
    values = seed.parameters(settings, *urls, seed.SecretIds())
    template = read_template(
        PROJECT / "template.yaml",
        Stack(settings).parameters,
        read_ssm=lambda name: values[name.removeprefix(seed.PARAMETER_PREFIX)],
    )
    variables = dict(template.functions["OperateFunction"].environment)
    # The process names itself.
    del variables["POWERTOOLS_SERVICE_NAME"]
    return {
        **variables,
        **AWS_KEYS,
        "AWS_ENDPOINT_URL": settings.aws_url,
        "AWS_DEFAULT_REGION": AWS_REGION,
    }


if __name__ == "__main__":
    raise SystemExit(main())
