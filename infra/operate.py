"""`paybridge … --environment …`: run an operator's command in the function `operate`."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.account import Account
from infra.built import PROJECT
from infra.environments import Environment, read_environment
from infra.errors import InputMissingError
from infra.follow import follow, is_endless

# Longer than the function's timeout.
ANSWER_SECONDS_MAX = 40
# An invocation takes 6 MB, and base64 makes a third more of a body.
BODY_BYTES_MAX = 4 * 1024 * 1024
# No retries: registering twice would create two keys.
PATIENCE = Config(connect_timeout=5, read_timeout=ANSWER_SECONDS_MAX, retries={"total_max_attempts": 1})


def main(arguments: list[str]) -> int:
    """Run `ENVIRONMENT COMMAND …` and return its exit status. Print a missing input on standard error."""
    try:
        environment = read_environment(arguments[0] if arguments else "", PROJECT / "template.yaml")
        account, command = Account(environment), with_body(arguments[1:])
        account.check_credentials()
        if is_endless(command):
            return follow(lambda more: run(account, environment, [*command, *more]))
        command, chart = without_chart(command)
        exit_code, output = run(account, environment, command)
        if chart is not None and exit_code == 0:
            output = _keep(chart, output)
    except InputMissingError as error:
        print(error, file=sys.stderr)
        return 1
    print(output, end="", file=sys.stderr if exit_code else sys.stdout)
    return exit_code


def with_body(command: list[str]) -> list[str]:
    """Return the command with what a file of this machine holds in place of its name.

    `publish --file` and `reconcile import` name one. Raises InputMissingError if it cannot be read or is too large.
    """
    if command[:1] == ["publish"]:
        name, others = _message_of(command)
    elif command[:2] == ["reconcile", "import"]:
        name, others = _statement_of(command)
    else:
        return command
    return command if name is None else [*others, f"--body={_encoded(name)}"]


def _message_of(command: list[str]) -> tuple[str | None, list[str]]:
    parser = argparse.ArgumentParser(prog="paybridge publish", add_help=False, allow_abbrev=False)
    parser.add_argument("--file")
    options, others = parser.parse_known_args(command)
    return options.file, others


def _statement_of(command: list[str]) -> tuple[str | None, list[str]]:
    """Return the file, and the command without it. Only what is no option, and no value of one, can be the file."""
    parser = argparse.ArgumentParser(prog="paybridge reconcile import", add_help=False, allow_abbrev=False)
    parser.add_argument("file", nargs="?")
    for name in ("date", "gateway", "wait"):
        parser.add_argument(f"--{name}")
    options, others = parser.parse_known_args(command[2:])
    given = [f"--{name}={value}" for name, value in vars(options).items() if name != "file" and value is not None]
    return options.file, [*command[:2], *given, *others]


def _encoded(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputMissingError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > BODY_BYTES_MAX:
        raise InputMissingError(f"{name} has {len(content)} bytes, more than an invocation takes.")
    return base64.b64encode(content).decode()


def without_chart(command: list[str]) -> tuple[list[str], Path | None]:
    """Return the command that prints a chart, and the file of this machine that `analytics plot --svg` names for it."""
    if command[:2] != ["analytics", "plot"]:
        return command, None
    parser = argparse.ArgumentParser(prog="paybridge analytics plot", add_help=False, allow_abbrev=False)
    parser.add_argument("--svg")
    options, others = parser.parse_known_args(command)
    if options.svg in {None, "-"}:
        return command, None
    return [*others, "--svg", "-"], Path(options.svg)


def _keep(chart: Path, text: str) -> str:
    try:
        chart.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputMissingError(f"{chart} cannot be written: {error.strerror}") from error
    return f"Wrote {chart}.\n"


def run(account: Account, environment: Environment, command: list[str]) -> tuple[int, str]:
    """Return exit status and output of the command. Raises InputMissingError if the function cannot run it."""
    name = f"paybridge-{environment.name}-operate"
    try:
        answer = account.client("lambda", PATIENCE).invoke(
            FunctionName=name, Payload=json.dumps({"arguments": command}).encode()
        )
    except ClientError as error:
        raise InputMissingError(
            f"The function {name} cannot be invoked ({error.response['Error']['Code']}): deploy {environment.name} "
            "first, and get the permission lambda:InvokeFunction on it."
        ) from error
    except BotoCoreError as error:
        raise InputMissingError(f"The function {name} does not answer: {error}") from error
    result = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise InputMissingError(
            f"The function {name} failed ({result.get('errorType', 'without an error type')}): read its log."
        )
    return int(result["exit_code"]), str(result["output"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
