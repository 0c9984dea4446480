"""The functions that a payment does not wait for: turn them off and on, and count the CPU time of each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Timer

import httpx
import psutil

from bench.results import number_text
from infra.sam_template.definitions import FunctionDefinition
from infra.sam_template.template import read_template
from local.servers.processes import Processes
from local.settings import PROJECT
from local.stack import topology
from local.stack.stack import Stack
from paybridge.outbox.routes import EVENTS_EXCHANGE

# The webhooks function is none of them, because the clock runs until the last webhook.
SIBLINGS = ("LedgerFunction", "NotifierFunction", "BridgeFunction", "LongJobsFunction", "ArchiveFunction")
LONG_JOBS = "LongJobsFunction"
# Parts with a smaller share are told as one.
SHARE_MIN = 0.005


def siblings(stack: Stack) -> list[FunctionDefinition]:
    """Return the siblings that the template has."""
    template = read_template(PROJECT / "template.yaml", stack.parameters, read_ssm=lambda name: name)
    return [template.functions[name] for name in SIBLINGS if name in template.functions]


@contextmanager
def without_siblings(stack: Stack) -> Iterator[None]:
    """Run the functions, which are stopped, without their siblings for this block.

    No event reaches the siblings' queues meanwhile.
    """
    found = siblings(stack)
    queues = {event.queue for function in found for event in function.queues}
    topology.take_from_exchange(stack.urls.management, "/", EVENTS_EXCHANGE, queues)
    stack.left_out = tuple(function.logical_id for function in found)
    try:
        stack.start_functions()
        yield
    finally:
        stack.left_out = ()
        stack.processes.stop_child("bridge")
        stack.declare_topology()


@contextmanager
def long_jobs_in_the_middle(stack: Stack, seconds: float) -> Iterator[None]:
    """Wake the function `long_jobs` once during the block, after so many seconds.

    It runs every minute, and a round takes some seconds. In its middle there is about as much for it to take over, from
    the warm-up and from this round, as a round brings.
    """
    url = f"http://127.0.0.1:{stack.settings.lambda_port}/2015-03-31/functions/{LONG_JOBS}/invocations"

    def wake() -> None:
        httpx.post(
            url, headers={"X-Amz-Invocation-Type": "Event"}, content=b"{}", trust_env=False, timeout=30
        ).raise_for_status()

    timer = Timer(seconds, wake)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def cpu_by_part(*groups: Processes) -> dict[str, float]:
    """Return the CPU seconds of the processes of these groups, by function or server.

    Parents account for children that have ended.
    """
    seconds: dict[str, float] = {}
    for child in [child for group in groups for child in group.children]:
        with suppress(psutil.NoSuchProcess):
            for process in [child.process, *child.process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    spent = times.user + times.system + times.children_user + times.children_system
                    part = part_of(process, child.name)
                    seconds[part] = seconds.get(part, 0.0) + spent
    return seconds


def part_of(process: psutil.Process, parent: str) -> str:
    """Return the function of a Lambda environment. Other processes count as the process that started them."""
    command = process.cmdline()
    launcher = next((place for place, part in enumerate(command) if part.endswith("launcher.py")), None)
    return parent if launcher is None else f"function {command[launcher + 1].partition('.')[0]}"


def shares_text(parts: Mapping[str, float]) -> str:
    """Return the CPU seconds of each part and its share, the largest first."""
    total = sum(parts.values()) or 1.0
    largest_first = sorted(parts.items(), key=lambda part: -part[1])
    shown = [(name, spent) for name, spent in largest_first if spent / total >= SHARE_MIN]
    rest = sum(parts.values()) - sum(spent for _, spent in shown)
    return ", ".join(
        f"{name} {number_text(spent)} s ({spent / total:.0%})" for name, spent in [*shown, ("others", rest)]
    )
