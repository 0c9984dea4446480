"""`make status`: each part of the stack with its health and its past, and what waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import pg8000.exceptions
import psutil

from local.clock.offset import FILE_NAME, Offset
from local.commands import figures, supervision
from local.commands.figures import FiguresUnavailable
from local.servers import compose, postgres, rabbitmq
from local.servers.processes import accepts_connections, answers, running
from local.settings import LocalSettings
from local.stack.restarts import PartRecord, PartState, read_records

# What a process is, and the setting of the port that it answers on. Their names are those of the log files.
PARTS = {
    "bridge": ("API and functions", "api_port"),
    "rabbitmq": ("RabbitMQ", "amqp_port"),
    "epmd": ("RabbitMQ's port mapper", ""),
    "postgres": ("PostgreSQL", "postgres_port"),
    "moto": ("AWS fake", "aws_port"),
    "ministack": ("AWS emulator", "aws_port"),
    "gateway": ("simulated gateway", "gateway_port"),
    "sink": ("webhook sink", "sink_port"),
    "sam": ("functions in containers", "lambda_port"),
    "forward": ("forwarder for containers", ""),
}
# The servers that may be the user's, by their part.
GIVEN = {"postgres": "postgres_url", "rabbitmq": "rabbitmq_url", "moto": "aws_endpoint"}
HEALTHY, SILENT, DOWN = "healthy", "does not answer", "down"
HANDLER_SUFFIX = ".handler.handler"
# The longest name is that of the worker of the second webhook lane.
_NAME_WIDTH = len("worker-webhooks-retry-2") + 1


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part of the stack. `place` is its port or address, `since` when its process began."""

    name: str
    description: str
    place: str
    state: str
    since: datetime | None = None
    record: PartRecord | None = None

    def line(self) -> str:
        """Return the line for the terminal."""
        since = f"since {_clock(self.since)}" if self.since else ""
        columns = f"{self.name:<{_NAME_WIDTH}} {self.description:<24} {self.place:<16} {self.state:<16}"
        return f"{columns} {since}{self._past()}".rstrip()

    def _past(self) -> str:
        """Say how often the part was restarted, and why it ended last."""
        record = self.record
        if record is None or not record.last_error or record.ended_at is None:
            return ""
        ended = _clock(datetime.fromtimestamp(record.ended_at).astimezone())
        times = "once" if record.restarts == 1 else f"{record.restarts} times"
        return f"  restarted {times}, ended at {ended} by {record.last_error}"


def show(settings: LocalSettings) -> None:
    """Print the state of the running stack, or that none runs and why."""
    processes = running(settings.state_dir)
    if not processes:
        print(supervision.nothing_runs(settings))
        return
    stack = settings.as_running()
    records = read_records(settings.state_dir)
    with ThreadPoolExecutor() as pool:
        # A server that hangs must not hold up the others.
        parts = pool.submit(_parts, stack, {name: process for name, (process, _) in processes.items()}, records)
        database, queues = pool.submit(_database, stack), pool.submit(_queues, stack)
        lines = [
            *(part.line() for part in parts.result()),
            "",
            *_functions(processes),
            *_test_clock(stack),
            *database.result(),
        ]
        print("\n".join([*lines, *queues.result()]))
    if supervision.supervisor(settings) is None:
        print("\nThe process that watches these parts is gone: `make down` ends them.")


def _parts(
    settings: LocalSettings, processes: Mapping[str, psutil.Process], records: Mapping[str, PartRecord]
) -> list[PartStatus]:
    """Return the parts that run, those that are down, and the servers that are the user's, by name."""
    down = {name for name, record in records.items() if record.state != PartState.UP} - processes.keys()
    given = {name for name, setting in GIVEN.items() if getattr(settings, setting)} - processes.keys()
    names = sorted({*processes, *down, *given})
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: _part(settings, name, processes.get(name), records.get(name)), names))


def _part(settings: LocalSettings, name: str, process: psutil.Process | None, record: PartRecord | None) -> PartStatus:
    description, port_name = PARTS.get(name, ("worker" if name.startswith("worker") else "", ""))
    url = str(getattr(settings, GIVEN[name])) if name in GIVEN else ""
    port = int(getattr(settings, port_name)) if port_name else None
    place = urlsplit(url).netloc.rpartition("@")[2] if url else f"port {port}" if port else ""
    if process is None and not url:
        return PartStatus(name, description, place, _down_state(record), None, record)
    if settings.compose and name in compose.SERVICES:
        state = compose.state_of(settings, name) or DOWN
    else:
        state = HEALTHY if _is_healthy(settings, name, port) else SILENT
    if record is not None and record.state != PartState.UP:
        state = _down_state(record)
    since = datetime.fromtimestamp(process.create_time()).astimezone() if process else None
    return PartStatus(name, description, place, state, since, record)


def _down_state(record: PartRecord | None) -> str:
    if record is None:
        return DOWN
    if record.state == PartState.OUTAGE and record.until is not None:
        return f"outage, {max(0.0, record.until - time.time()):.0f} s left"
    return str(record.state)


def _is_healthy(settings: LocalSettings, name: str, port: int | None) -> bool:
    """Return whether a part does its work, not only listens."""
    checks: dict[str, Callable[[], bool]] = {
        "bridge": lambda: answers(f"{settings.api_url}/health", seconds_max=figures.ANSWER_SECONDS_MAX),
        "gateway": lambda: answers(f"{settings.gateway_url}/health", seconds_max=figures.ANSWER_SECONDS_MAX),
        "sink": lambda: answers(f"{settings.sink_url}/health", seconds_max=figures.ANSWER_SECONDS_MAX),
        "postgres": lambda: _database_answers(settings),
        "rabbitmq": lambda: _broker_answers(settings),
    }
    if name in checks:
        return checks[name]()
    return port is None or accepts_connections(port)


def _database_answers(settings: LocalSettings) -> bool:
    url = postgres.database_url_of(settings)
    try:
        with closing(postgres.connect(url, timeout_seconds=figures.ANSWER_SECONDS_MAX)) as connection:
            return bool(connection.run("SELECT 1"))
    except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError, OSError):
        return False


def _broker_answers(settings: LocalSettings) -> bool:
    url = urlsplit(rabbitmq.amqp_url_of(settings))
    try:
        figures.queue_depths(settings)
    except FiguresUnavailable:
        return False
    return accepts_connections(url.port or 5672, url.hostname or "127.0.0.1")


def _functions(processes: Mapping[str, tuple[psutil.Process, int]]) -> list[str]:
    """Count the environments of each function."""
    if "bridge" not in processes:
        return []
    counts: Counter[str] = Counter()
    for process in processes["bridge"][0].children():
        try:
            arguments = process.cmdline()
        except psutil.Error:
            # It ended a moment ago.
            continue
        names = [one.removesuffix(HANDLER_SUFFIX) for one in arguments if one.endswith(HANDLER_SUFFIX)]
        counts.update(name.replace("_", "-") for name in names)
    if not counts:
        return []
    return [_line("Functions", ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))]


def _test_clock(settings: LocalSettings) -> list[str]:
    """Say how far the test clock was moved, if it was."""
    file = settings.state_dir / FILE_NAME
    ahead_seconds = Offset(file).read().total_seconds() if file.exists() else 0.0
    return [_line("Test clock", f"{_duration(ahead_seconds)} ahead of this machine")] if ahead_seconds else []


def _database(settings: LocalSettings) -> list[str]:
    try:
        found = figures.database_figures(settings)
    except FiguresUnavailable as error:
        return [_line("Database", f"PostgreSQL does not answer: {error}")]
    circuits = [f"{name} open until {_clock(until.astimezone())}" for name, until in found.open_circuits]
    circuits += [f"{name} slowed to {calls_per_second:.3g} calls a second" for name, calls_per_second in found.paces]
    return [
        _line("Payments", f"{found.unsettled_payments} unsettled{_oldest(found.unsettled_age_seconds)}"),
        _line("Outbox", f"{found.outbox_due} due{_oldest(found.outbox_age_seconds)}"),
        _line("Dead letters", str(found.dead_letters)),
        _line("Circuit", ", ".join(circuits) or "closed"),
    ]


def _queues(settings: LocalSettings) -> list[str]:
    try:
        depths = figures.queue_depths(settings)
    except FiguresUnavailable as error:
        return [_line("Queues", f"RabbitMQ does not answer: {error}")]
    return [_line("Queues", ", ".join(f"{name} {depth}" for name, depth in sorted(depths.items())) or "none")]


def _oldest(seconds: float) -> str:
    return f", the oldest for {_duration(seconds)}" if seconds else ""


def _line(name: str, text: str) -> str:
    return f"{name:<{_NAME_WIDTH}} {text}"


def _clock(moment: datetime) -> str:
    """Return the time of day, with the day unless it is today."""
    is_today = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%d %b %H:%M}"


def _duration(seconds: float) -> str:
    """Return a duration such as `40 s`, `12 min` or `3 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"
