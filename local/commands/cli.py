"""The commands of `python -m local`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from local.commands import payment
from local.commands.logs import LogFollower, reader_for
from local.errors import LocalError
from local.servers import compose, postgres
from local.servers.processes import (
    is_alive,
    left_alive,
    pid_file,
    read_pid_file,
    running,
    stop_recorded,
    write_pid_file,
)
from local.servers.progress import use_utf8
from local.settings import PROJECT, LocalSettings, variable_of
from local.stack import sam
from local.stack.stack import ERRORS, SUPERVISOR, Stack

# The first start downloads RabbitMQ, which takes minutes on a slow line.
UP_SECONDS_MAX = 1800
STOP_SECONDS_MAX = 60
LOG_LINES_BEFORE = 20


class Terminated(BaseException):
    """SIGTERM or a closed terminal: unwinds like Ctrl-C."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; what the user can mend is one sentence on standard error."""
    use_utf8()
    parser = argparse.ArgumentParser(prog="python -m local", description="The offline stack of Paybridge.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    asked = commands.add_parser("payment", help="tell where a payment is, and why")
    asked.add_argument("id", nargs="?", default="", help="the payment's id")
    options = parser.parse_args(arguments)
    _end_on_signals()
    try:
        if options.command == "payment":
            payment.show(LocalSettings.load(), options.id)
        else:
            COMMANDS[options.command][0](LocalSettings.load())
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Terminated:
        return 143
    return 0


def run(settings: LocalSettings) -> None:
    """Start everything, send a sample payment, and follow the logs until Ctrl-C."""
    _run(settings, Stack(settings), "Starting Paybridge")


def localstack(settings: LocalSettings) -> None:
    """Deploy `template.yaml` to an AWS emulator, send a sample payment through it, follow the logs until Ctrl-C."""
    # Only this command needs what it loads.
    from local.stack import deployment
    from local.stack.localstack import LocalStack

    stack = LocalStack(settings)

    def deployed_api() -> dict[str, str]:
        assert stack.deployed is not None
        host = deployment.api_host(settings, stack.deployed)
        return {"api_url": settings.aws_url, "api_host": host} if host else {}

    endpoint = f"AWS        {settings.aws_url} (stack {sam.STACK_NAME})"
    _run(settings, stack, "Starting Paybridge at an AWS endpoint", deployed_api, endpoint)


def sam_local(settings: LocalSettings) -> None:
    """Run the functions by `sam local` in Docker, send a sample payment through them, follow the logs until Ctrl-C."""
    # Only this command needs what it loads.
    from local.stack.sam_local import SamLocal

    _run(settings, SamLocal(settings), "Starting Paybridge with its functions in Docker")


def servers(settings: LocalSettings) -> None:
    """Start PostgreSQL, RabbitMQ and the AWS fake alone, until Ctrl-C."""
    with _supervising(settings), _stopping(Stack(settings)) as stack:
        print("Starting the servers", flush=True)
        stack.start_servers()
        print("Ready; Ctrl-C stops them.", flush=True)
        while True:
            stack.watch(60)


def supervise(settings: LocalSettings) -> None:
    """What `up` leaves in the background: everything, until SIGTERM."""
    with _supervising(settings), _stopping(Stack(settings)) as stack:
        stack.start()
        _ready_file(settings).touch()
        while True:
            stack.watch(60)


def up(settings: LocalSettings) -> None:
    """Start everything in the background and return when it is ready."""
    if _supervisor(settings) is not None:
        print(f"Paybridge is up already: {settings.api_url}")
        return
    _make_state_dir(settings)
    _ready_file(settings).unlink(missing_ok=True)
    print("Starting Paybridge", flush=True)
    with _log(settings, SUPERVISOR).open("wb") as output, _log(settings, ERRORS).open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "supervise"],
            cwd=PROJECT,
            env={**os.environ, **settings.environment()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    try:
        _show_until_ready(settings, process)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    print(_addresses(settings))


def down(settings: LocalSettings) -> None:
    """Stop everything; the data stays."""
    supervisor = _supervisor(settings)
    if supervisor is not None:
        supervisor.terminate()
        left_alive([supervisor], STOP_SECONDS_MAX)
    left = stop_recorded(settings.state_dir)
    if settings.compose:
        # A supervisor that was killed could not stop them.
        compose.stop(settings)
    print("Stopped." if supervisor is not None or left else "Nothing was running.")


def logs(settings: LocalSettings) -> None:
    """Follow the logs of a running stack until Ctrl-C."""
    if not running(settings.state_dir):
        raise LocalError("Nothing is running: start it with `make up`.")
    LogFollower(settings.logs_dir, reader_for(settings.log_format), lines_before=LOG_LINES_BEFORE).follow()


def demo(settings: LocalSettings, **api: str) -> None:
    """Send a sample payment through a running stack; `api` says where, if not at the usual port."""
    # Its HTTP library takes long to load, and most commands do not need it.
    from local.commands.demo import run

    run(settings, **api)


def status(settings: LocalSettings) -> None:
    """List the processes of the stack."""
    found = running(settings.state_dir)
    for name, (process, _) in found.items():
        print(f"{name:<12} pid {process.pid}")
    if not found:
        print("Nothing is running.")


def clean(settings: LocalSettings) -> None:
    """Stop everything and delete its data and logs; what was downloaded stays."""
    down(settings)
    postgres.remove_data(settings)
    if settings.compose:
        compose.remove(settings)
    shutil.rmtree(settings.state_dir, ignore_errors=True)
    print("Data and logs are deleted.")


def _run(
    settings: LocalSettings, stack: Stack, title: str, api: Callable[[], dict[str, str]] = dict, *more_addresses: str
) -> None:
    """Start the stack, send the sample payment to where `api` says once it has started, and follow the logs."""
    with _supervising(settings), _stopping(stack):
        print(title, flush=True)
        stack.start()
        demo(settings, **api())
        print("", _addresses(settings), *more_addresses, sep="\n")
        print("", "Following the logs; Ctrl-C stops everything.", sep="\n", flush=True)
        # Ctrl-C is how these commands are meant to end, so it is no failure from here on.
        with suppress(KeyboardInterrupt):
            LogFollower(settings.logs_dir, reader_for(settings.log_format)).follow(stack.watch)


COMMANDS = {
    "run": (run, "start everything, send a sample payment, follow the logs until Ctrl-C"),
    "up": (up, "start everything in the background and return when it is ready"),
    "down": (down, "stop everything; the data stays"),
    "logs": (logs, "follow the logs of a running stack"),
    "demo": (demo, "send a sample payment through a running stack"),
    "status": (status, "list the running processes"),
    "clean": (clean, "stop everything and delete data and logs"),
    "sam-local": (sam_local, "run the functions by sam local, send a sample payment, follow the logs until Ctrl-C"),
    "localstack": (localstack, "deploy to an AWS emulator, send a sample payment, follow the logs until Ctrl-C"),
    "servers": (servers, "start PostgreSQL, RabbitMQ and the AWS fake alone, until Ctrl-C"),
    "supervise": (supervise, "start everything without a terminal, until SIGTERM; `up` runs this"),
}


@contextmanager
def _supervising(settings: LocalSettings) -> Iterator[None]:
    """Record this process as the stack's supervisor; LocalError when there is another one."""
    if _supervisor(settings) is not None:
        raise LocalError("Paybridge is up already: stop it with `make down`.")
    _make_state_dir(settings)
    stop_recorded(settings.state_dir)
    # The processes of `running` and `down` are the children; the supervisor has a file of its own beside them.
    write_pid_file(_supervisor_dir(settings), SUPERVISOR, psutil.Process())
    try:
        yield
    finally:
        pid_file(_supervisor_dir(settings), SUPERVISOR).unlink(missing_ok=True)
        _ready_file(settings).unlink(missing_ok=True)


@contextmanager
def _stopping(stack: Stack) -> Iterator[Stack]:
    """Stop the stack at the end of the block; further Ctrl-C or SIGTERM cannot keep it from that."""
    try:
        yield stack
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if stack.processes.children:
            print("Stopping", flush=True)
        stack.stop()


def _show_until_ready(settings: LocalSettings, process: "subprocess.Popen[bytes]") -> None:
    """Print the background process's progress; LocalError, with what it says, when it ends before it is ready."""
    deadline = time.monotonic() + UP_SECONDS_MAX
    with _log(settings, SUPERVISOR).open(encoding="utf-8", errors="replace") as progress:
        while not _ready_file(settings).exists():
            ended = process.poll() is not None
            print(progress.read(), end="", flush=True)
            if ended:
                raise LocalError(_log(settings, ERRORS).read_text(encoding="utf-8").strip())
            if time.monotonic() > deadline:
                raise LocalError(f"Paybridge was not ready after {UP_SECONDS_MAX} s.")
            time.sleep(0.05)
        print(progress.read(), end="", flush=True)


def _make_state_dir(settings: LocalSettings) -> None:
    try:
        settings.logs_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        name = variable_of("state_dir")
        reason = error.strerror or str(error)
        raise LocalError(f"{settings.state_dir} cannot be used ({reason}): set {name} to another folder.") from None


def _log(settings: LocalSettings, name: str) -> Path:
    return settings.logs_dir / f"{name}.log"


def _supervisor(settings: LocalSettings) -> psutil.Process | None:
    recorded = read_pid_file(pid_file(_supervisor_dir(settings), SUPERVISOR))
    return recorded[0] if recorded is not None and is_alive(recorded[0]) else None


def _supervisor_dir(settings: LocalSettings) -> Path:
    return settings.state_dir / "supervisor"


def _ready_file(settings: LocalSettings) -> Path:
    return settings.state_dir / "ready"


def _addresses(settings: LocalSettings) -> str:
    return (
        f"API        {settings.api_url}/docs (key secret-api-key)\n"
        f"RabbitMQ   http://127.0.0.1:{settings.management_port} (guest/guest)\n"
        f"PostgreSQL {postgres.url_of(settings.postgres_port)}\n"
        f"Webhooks   {settings.sink_url}/received\n"
        f"Gateway    {settings.gateway_url}/charges?reference=<payment id>"
    )


def _end_on_signals() -> None:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
