"""The commands of `python -m local`."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from local.commands import status as stack_status
from local.commands import supervision
from local.commands.log_filter import Wanted
from local.commands.logs import LogFollower, reader_for
from local.commands.supervision import stopping, supervising
from local.errors import LocalError
from local.servers import compose, postgres
from local.servers.processes import left_alive, running, stop_recorded
from local.servers.progress import use_utf8
from local.settings import PROJECT, LocalSettings, misspelled, without_login
from local.stack import sam
from local.stack.stack import ERRORS, SUPERVISOR, Stack

# The first start downloads RabbitMQ, which takes minutes on a slow line.
UP_SECONDS_MAX = 1800
STOP_SECONDS_MAX = 60
LOG_LINES_BEFORE = 20
# What `logs` prints of a stack that has stopped.
LOG_LINES_AFTER = 200
# What it prints of one function or payment.
LOG_LINES_MAX = 10_000


class Terminated(BaseException):
    """SIGTERM or a closed terminal: unwinds like Ctrl-C."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Print what the user can correct as one sentence on standard error."""
    use_utf8()
    options = _parser().parse_args(arguments)
    _end_on_signals()
    try:
        settings = _load_settings()
        if options.command in START_SERVERS:
            settings = compose.with_running(settings)
        COMMANDS[options.command][0](settings)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Terminated:
        return 143
    except BrokenPipeError:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0 if options.command in ONLY_PRINT else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description="Run Paybridge offline, on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    return parser


def _load_settings() -> LocalSettings:
    """Read the settings, and name on standard error what looks like one and is none."""
    for sentence in misspelled():
        print(sentence, file=sys.stderr)
    return LocalSettings.load()


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
    with supervising(settings), stopping(Stack(settings)) as stack:
        print("Starting the servers", flush=True)
        stack.start_servers()
        print("Ready. Ctrl-C stops them.", flush=True)
        while True:
            stack.watch(60)


def supervise(settings: LocalSettings) -> None:
    """Run everything until SIGTERM; `up` leaves this in the background."""
    with supervising(settings), stopping(Stack(settings)) as stack:
        stack.start()
        supervision.ready_file(settings).touch()
        while True:
            stack.watch(60)


def up(settings: LocalSettings) -> None:
    """Start everything in the background and return when it is ready."""
    if supervision.supervisor(settings) is not None:
        _say_it_is_up(settings)
        return
    supervision.make_state_dir(settings)
    supervision.ready_file(settings).unlink(missing_ok=True)
    print("Starting Paybridge", flush=True)
    with (
        supervision.log_of(settings, SUPERVISOR).open("wb") as output,
        supervision.log_of(settings, ERRORS).open("wb") as errors,
    ):
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
    print(_addresses(settings.as_running()))


def _say_it_is_up(settings: LocalSettings) -> None:
    """Say where the running stack is, and which of the present settings it does not have."""
    stack = settings.as_running()
    print(f"Paybridge is up already: {stack.api_url}")
    other = stack.differences(settings)
    if other:
        print(f"It runs with another {' and '.join(other)}: `make down` first, then `make up`.")
    if settings.compose and not stack.compose:
        print("Its servers do not run in Docker.")


def down(settings: LocalSettings) -> None:
    """Stop everything and keep the data."""
    running_supervisor = supervision.supervisor(settings)
    if running_supervisor is not None:
        running_supervisor.terminate()
        left_alive([running_supervisor], STOP_SECONDS_MAX)
    left = stop_recorded(settings.state_dir)
    stopped = settings.as_running()
    if stopped.compose or compose.is_remembered(stopped):
        # A supervisor that was killed has not stopped them.
        left += ["compose"] * compose.stop(stopped)
    left += ["containers"] * bool(sam.remove_containers(settings))
    if running_supervisor is None and not left:
        print("Nothing was running.")
        return
    supervision.record_stop(settings)
    print("Stopped.")


def logs(settings: LocalSettings) -> None:
    """Follow the logs of a running stack until Ctrl-C, or print those of the last one."""
    if not settings.logs_dir.is_dir():
        raise LocalError(f"{supervision.nothing_runs(settings)} Start the stack with `make up`.")
    wanted = Wanted(os.environ.get("FUNCTION", ""), os.environ.get("PAYMENT", ""))
    is_running = bool(running(settings.state_dir))
    lines_before = LOG_LINES_BEFORE if is_running else LOG_LINES_AFTER
    if wanted.payment_id or (wanted.is_filter and not is_running):
        lines_before = LOG_LINES_MAX
    follower = LogFollower(settings.logs_dir, reader_for(settings.log_format), lines_before=lines_before, wanted=wanted)
    if is_running:
        follower.follow()
    follower.print_old()
    print(f"{supervision.nothing_runs(settings)} Start the stack with `make up`.", file=sys.stderr)


def outage(settings: LocalSettings) -> None:
    """Stop the part PART of the running stack for SECONDS, and show what payments do meanwhile."""
    # Its HTTP library takes long to load.
    from local.commands.outage import run

    run(settings, os.environ.get("PART", ""), os.environ.get("SECONDS", ""))


def demo(settings: LocalSettings) -> None:
    """Send a sample payment through a running stack, and refund a part of it."""
    # Its HTTP library takes long to load, and most commands do not need it.
    from local.commands.demo import run

    run(settings.as_running())


def sample_payment(settings: LocalSettings, **api: str) -> None:
    """Send a sample payment through a running stack. `api` names another address than the usual port."""
    from local.commands.demo import run_payment

    run_payment(settings.as_running(), **api)


def status(settings: LocalSettings) -> None:
    """Show each part of the stack, and what waits in it."""
    stack_status.show(settings)


def clean(settings: LocalSettings) -> None:
    """Stop everything and delete its data and logs. Downloads stay."""
    down(settings)
    postgres.remove_data(settings)
    if settings.compose or compose.is_remembered(settings):
        compose.remove(settings)
    shutil.rmtree(settings.state_dir, ignore_errors=True)
    print("Data and logs are deleted.")


def _run(
    settings: LocalSettings, stack: Stack, title: str, api: Callable[[], dict[str, str]] = dict, *more_addresses: str
) -> None:
    """Start the stack, send the sample payment to the address in `api`, and follow the logs."""
    with supervising(settings), supervision.recording_error(settings), stopping(stack):
        print(title, flush=True)
        stack.start()
        sample_payment(settings, **api())
        print("", _addresses(settings), *_container_addresses(settings), *more_addresses, sep="\n")
        print("", "Following the logs. Ctrl-C stops everything.", sep="\n", flush=True)
        # Ctrl-C and `make down` are how these commands end, so neither is a failure from here on.
        with suppress(KeyboardInterrupt, Terminated):
            LogFollower(settings.logs_dir, reader_for(settings.log_format)).follow(stack.watch)


# These take the servers that `docker compose up` has started.
START_SERVERS = frozenset({"run", "up", "sam-local", "servers", "supervise"})
# These have done their work when the reader of their output, such as `head`, has read enough.
ONLY_PRINT = frozenset({"logs", "status"})
COMMANDS = {
    "run": (run, "start everything, send a sample payment, follow the logs until Ctrl-C"),
    "up": (up, "start everything in the background and return when it is ready"),
    "down": (down, "stop everything and keep the data"),
    "logs": (logs, "follow the logs of a running stack, or print those of the last one (FUNCTION, PAYMENT)"),
    "outage": (outage, "stop a part of the running stack for a while (PART, SECONDS)"),
    "demo": (demo, "send a sample payment through a running stack and refund a part of it"),
    "status": (status, "show each part of the stack and what waits, or say why nothing runs"),
    "clean": (clean, "stop everything and delete data and logs"),
    "sam-local": (sam_local, "run the functions by sam local, send a sample payment, follow the logs until Ctrl-C"),
    "localstack": (localstack, "deploy to an AWS emulator, send a sample payment, follow the logs until Ctrl-C"),
    "servers": (servers, "start PostgreSQL, RabbitMQ and the AWS fake alone, until Ctrl-C"),
    "supervise": (supervise, "run everything without a terminal until SIGTERM, as `up` does"),
}


def _show_until_ready(settings: LocalSettings, process: subprocess.Popen[bytes]) -> None:
    """Print the progress of the background process. Raises LocalError if it ends before it is ready."""
    deadline = time.monotonic() + UP_SECONDS_MAX
    with supervision.log_of(settings, SUPERVISOR).open(encoding="utf-8", errors="replace") as progress:
        while not supervision.ready_file(settings).exists():
            ended = process.poll() is not None
            print(progress.read(), end="", flush=True)
            if ended:
                raise LocalError(supervision.log_of(settings, ERRORS).read_text(encoding="utf-8").strip())
            if time.monotonic() > deadline:
                raise LocalError(
                    f"Paybridge was not ready after {UP_SECONDS_MAX} s: see the logs in {settings.logs_dir}."
                )
            time.sleep(0.05)
        print(progress.read(), end="", flush=True)


def _addresses(settings: LocalSettings) -> str:
    broker = f"http://127.0.0.1:{settings.management_port} (guest/guest)"
    return (
        f"API        {settings.api_url}/docs (key secret-api-key)\n"
        f"RabbitMQ   {without_login(settings.rabbitmq_management_url) or broker}\n"
        f"PostgreSQL {without_login(settings.postgres_url) or postgres.url_of(settings.postgres_port)}\n"
        f"Webhooks   {settings.sink_url}/received\n"
        f"Gateway    {settings.gateway_url}/charges?reference=<payment id>"
    )


def _container_addresses(settings: LocalSettings) -> list[str]:
    """Return the line with the `webhook_url` of own payments, if the functions run where 127.0.0.1 is another place."""
    running_settings = settings.as_running()
    if not running_settings.container_host:
        return []
    url = running_settings.seen_by_functions(f"{settings.sink_url}/ok")
    return [f"webhook_url {url} (the sink, as the functions' containers reach it)"]


def _end_on_signals() -> None:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
