"""`python -m local.bridge`: the Lambda host, HTTP front, schedules and queue mappings in one process."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from infra.sam_template.definitions import Template
from infra.sam_template.intrinsics import TemplateError
from infra.sam_template.template import read_template
from local.bridge.http import HttpFront
from local.bridge.invokers import LambdaEndpointInvoker
from local.bridge.rabbitmq import QueueMapping, queue_mappings
from local.bridge.reload import reload_edited_code
from local.bridge.schedules import schedule_tickers
from local.bridge.stack_clock import StackClock, StackParts, jobs_schedules
from local.clock.offset import CLOCK_DATABASE, VARIABLE, Offset, keep_stack_time
from local.http.lean import loop_factory
from local.lambda_host.host import LambdaHost
from local.lambda_host.model import Invoker
from local.servers.open_files import raise_limit

logger = logging.getLogger("local.bridge")

_PROJECT = Path(__file__).resolve().parents[2]
# If the broker is not up within this time, the schedules start without it.
_BROKER_SECONDS_MAX = 90.0


class PortError(Exception):
    """The bridge cannot listen on a port. The message is one sentence for people."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. Each option's variable is in its help."""
    environ = os.environ
    command = argparse.ArgumentParser(
        prog="python -m local.bridge",
        description="Run the functions of a SAM template on this machine, behind HTTP, schedules and RabbitMQ.",
        epilog="It prints one line on standard output when it listens. SIGTERM and SIGINT end it and every function.",
    )
    add = command.add_argument
    add("--template", type=Path, default=_PROJECT / "template.yaml", help="the SAM template (default: the project's)")
    add(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of a template parameter, also of an SSM type; may be repeated. "
        "Other parameters of an SSM type are read from AWS_ENDPOINT_URL",
    )
    add(
        "--api-port",
        type=int,
        default=int(environ.get("PAYBRIDGE_API_PORT") or 8000),
        help="port of the HTTP API, 0 for any free one (PAYBRIDGE_API_PORT, 8000)",
    )
    add(
        "--lambda-port",
        type=int,
        default=int(environ.get("PAYBRIDGE_LOCAL_LAMBDA_PORT") or 9001),
        help="port of Lambda's Invoke API and Runtime API, 0 for any (PAYBRIDGE_LOCAL_LAMBDA_PORT, 9001)",
    )
    add(
        "--broker-url",
        default=environ.get("PAYBRIDGE_LOCAL_RABBITMQ_URL") or None,
        help="AMQP URL with credentials; without it no queue is consumed. The variable keeps the password out of "
        "the list of processes (PAYBRIDGE_LOCAL_RABBITMQ_URL)",
    )
    add("--logs-dir", type=Path, default=_PROJECT / ".local" / "logs", help="where <function>.log files go")
    add(
        "--lambda-endpoint",
        metavar="URL",
        help="invoke the functions at this Lambda endpoint instead of running them here",
    )
    add(
        "--lambda-name",
        action="append",
        default=[],
        metavar="LOGICAL_ID=NAME",
        help="name of a function at that endpoint, if not its logical id; may be repeated",
    )
    add(
        "--concurrency-max",
        type=int,
        metavar="N",
        help="environments of one function at most, if below its reserved concurrency",
    )
    add(
        "--without",
        action="append",
        default=[],
        metavar="LOGICAL_ID",
        help="neither run nor invoke this function; may be repeated",
    )
    add("--clock", action="store_true", help=f"let the test clock move the time in the file that {VARIABLE} names")
    add("--gateway-url", default="http://127.0.0.1:8090", help="the simulated gateway that the test clock moves")
    add("--no-schedules", action="store_true", help="do not fire the schedules")
    add("--reload", action="store_true", help="replace the environments of functions whose code changes")
    add("--no-warm", action="store_true", help="start environments only for invocations")
    return command


def main() -> int:
    """Run until a signal and return the exit status. Print a reason not to start as one sentence."""
    options = parser().parse_args()
    _configure_logging()
    raise_limit()
    try:
        keep_stack_time(os.environ)
        template = read_template(options.template, _pairs("--parameter", options.parameter))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(options, template))
    except (TemplateError, PortError) as error:
        print(f"local.bridge: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(options: argparse.Namespace, template: Template) -> None:
    """Run everything until SIGTERM or SIGINT. Raises PortError, or what ended a background task."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    everything, template = template, template.without(options.without)
    functions = list(template.functions.values())
    async with AsyncExitStack() as stack:
        invoker = await _start_invoker(options, template, stack)
        mappings = queue_mappings(functions, invoker, options.broker_url) if options.broker_url else []
        own_routes = _clock(options, everything, invoker, mappings).routes if options.clock else {}
        front = HttpFront(functions, invoker, port=options.api_port, own_routes=own_routes)
        await _listen(stack, front, options.api_port, "--api-port (PAYBRIDGE_API_PORT)")
        # The stack unwinds in reverse: the background tasks end before the functions that they invoke.
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        stack.push_async_callback(_cancel, tasks)
        if options.broker_url:
            tasks.extend(asyncio.create_task(mapping.run()) for mapping in mappings)
            # A relay without a broker would end at once, and the next one is a minute away.
            await _wait_for_broker(mappings, tasks)
        if not options.no_schedules:
            tasks.extend(map(asyncio.create_task, schedule_tickers(functions, invoker, region=template.region)))
        if options.reload and isinstance(invoker, LambdaHost):
            tasks.append(asyncio.create_task(reload_edited_code(invoker, functions)))
        _freeze_garbage()
        print(f"ready: API http://127.0.0.1:{front.port}, Lambda {_lambda_url(options, invoker)}", flush=True)
        await _first_end(tasks)


def _clock(
    options: argparse.Namespace, everything: Template, invoker: Invoker, mappings: list[QueueMapping]
) -> StackClock:
    """Return the test clock. `everything` has the functions too whose work workers do."""
    running = [function for name, function in everything.functions.items() if name not in options.without]
    replaced = [function for name, function in everything.functions.items() if name in options.without]
    return StackClock(
        StackParts(
            offset=Offset(Path(os.environ[VARIABLE])),
            database_url=os.environ[CLOCK_DATABASE],
            gateway_url=options.gateway_url,
            invoker=invoker,
            mappings=mappings,
            schedules=jobs_schedules(running),
            region=everything.region,
            worker_queues=[event.queue for function in replaced for event in function.queues if event.enabled],
            broker_url=options.broker_url or "",
        )
    )


async def _start_invoker(options: argparse.Namespace, template: Template, stack: AsyncExitStack) -> Invoker:
    if options.lambda_endpoint:
        names = _pairs("--lambda-name", options.lambda_name)
        return await stack.enter_async_context(LambdaEndpointInvoker(options.lambda_endpoint, names))
    host = LambdaHost(
        template, logs_dir=options.logs_dir, port=options.lambda_port, concurrency_max=options.concurrency_max
    )
    await _listen(stack, host, options.lambda_port, "--lambda-port (PAYBRIDGE_LOCAL_LAMBDA_PORT)")
    if not options.no_warm:
        host.warm()
    return host


async def _listen(stack: AsyncExitStack, server: HttpFront | LambdaHost, port: int, option: str) -> None:
    try:
        await stack.enter_async_context(server)
    except OSError as error:
        raise PortError(f"Port {port} cannot be used ({error.strerror}): choose another by {option}.") from error


async def _wait_for_broker(mappings: list[QueueMapping], tasks: list[asyncio.Task[Any]]) -> None:
    """Wait until every queue is consumed, the broker has been down for long, or a task ends."""
    begun = asyncio.gather(*(mapping.begun.wait() for mapping in mappings))
    await asyncio.wait([begun, *tasks], timeout=_BROKER_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    await asyncio.wait([begun])


async def _first_end(tasks: list[asyncio.Task[Any]]) -> None:
    """Wait for the signal. A background task that fails before it ends the process."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    # A broker that does not answer must not delay the end.
    await asyncio.wait(tasks, timeout=0.3)


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise TemplateError(f"{option} {text} is not of the form NAME=VALUE: correct it.")
        pairs[name] = value
    return pairs


def _lambda_url(options: argparse.Namespace, invoker: Invoker) -> str:
    return f"http://127.0.0.1:{invoker.port}" if isinstance(invoker, LambdaHost) else str(options.lambda_endpoint)


def _configure_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # The mappings log in one line that the broker is down. These would add a traceback for every attempt.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("botocore").setLevel(logging.WARNING)


def _freeze_garbage() -> None:
    """Exclude the objects that are alive now from garbage collection: they stay alive."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
