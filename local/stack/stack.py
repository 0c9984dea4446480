"""The whole offline stack: what starts, in which order, and how all of it stops again."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import unquote, urlsplit

from infra.sam_template.template import read_template
from local.clock import database as clock
from local.clock.database import DatabaseClock
from local.clock.offset import CLOCK_DATABASE, FILE_NAME, VARIABLE, Offset
from local.errors import NotReadyError
from local.servers import aws, compose, moto, postgres, rabbitmq
from local.servers.postgres import PostgresServer
from local.servers.processes import Child, Processes, answers, ensure_port_free, stop_recorded
from local.servers.progress import Progress
from local.servers.rabbitmq import RabbitMQServer
from local.settings import AWS_KEYS, AWS_REGION, PROJECT, PYTHON_PATH, LocalSettings, variable_of
from local.stack import restarts, seed, topology, workers
from local.stack.forward import FORWARDING, is_own_address
from local.stack.parameters import parameters_of
from local.stack.readiness import why_not_ready
from local.stack.restarts import Restarts

START_SECONDS_MAX = 60
# The bridge waits for RabbitMQ, which takes longest.
BRIDGE_SECONDS_MAX = rabbitmq.START_SECONDS_MAX + START_SECONDS_MAX
BRIDGE_READY = b"ready: API"
# Log files for output and errors of the process that `up` leaves in the background.
SUPERVISOR, ERRORS = "supervisor", "errors"
PORTS = {
    "amqp_port": "RabbitMQ",
    "management_port": "RabbitMQ management",
    "postgres_port": "PostgreSQL",
    "aws_port": "the AWS fake",
    "gateway_port": "the simulated gateway",
    "sink_port": "the webhook sink",
    "lambda_port": "the Lambda host",
    "api_port": "the API",
}


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the parts of a running stack are."""

    api: str
    gateway: str
    sink: str
    aws: str
    amqp: str
    management: str
    postgres: str


@dataclass(slots=True)
class Stack:
    """One stack. Use it as a context manager, or call `start` and, in any case, `stop`."""

    # The test clock does not reach into containers, nor into an AWS emulator.
    has_test_clock: ClassVar[bool] = True

    settings: LocalSettings
    progress: Progress = field(default_factory=Progress)
    # Functions by logical id that neither run nor take from their queues when the functions are started.
    left_out: tuple[str, ...] = ()
    processes: Processes = field(init=False)
    database: PostgresServer = field(init=False)
    broker: RabbitMQServer = field(init=False)
    restarts: Restarts = field(init=False)
    _is_migrated: threading.Event = field(init=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.processes = Processes(self.settings.state_dir)
        self.restarts = Restarts(self.processes, self._make_ready)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> Urls:
        settings = self.settings
        return Urls(
            api=settings.api_url,
            gateway=settings.gateway_url,
            sink=settings.sink_url,
            aws=settings.aws_url,
            amqp=self.broker.amqp_url,
            management=self.broker.management_url,
            postgres=self.database.url,
        )

    @property
    def _vhost(self) -> str:
        """Return the virtual host that the broker's URL names."""
        return unquote(urlsplit(rabbitmq.amqp_url_of(self.settings)).path[1:]) or "/"

    @property
    def parameters(self) -> dict[str, str]:
        """Return the values of the template's parameters."""
        return parameters_of(self.settings, self._vhost)

    def start(self) -> None:
        """Start everything and return when payments can be sent.

        Raises LocalError with a sentence for the user, and leaves nothing running then.
        """
        # The functions run on this machine.
        self.settings = replace(self.settings, container_host="")
        parts = [self._start_postgres, self._start_rabbitmq, self._start_gateway, self._start_sink]
        self._start(PORTS, [*parts, self._start_moto_and_functions])
        self._or_stop(self.start_workers)

    def start_servers(self) -> None:
        """Start PostgreSQL, RabbitMQ and the AWS fake alone, as `start` does."""
        ports = ("postgres_port", "amqp_port", "management_port", "aws_port")
        self._start(ports, [self._start_postgres, self._start_rabbitmq, self._start_moto])

    def declare_topology(self) -> None:
        """Declare queues and, on the stack's own broker, the functions' users.

        `start` does this; do it again after the broker lost its data. Raises LocalError when the broker refuses.
        """
        shards, management_url = self.settings.payment_shards, self.broker.management_url
        topology.declare(management_url, self._vhost, payment_shards=shards)
        if not self.settings.rabbitmq_url:
            topology.declare_functions_users(management_url, self._vhost, payment_shards=shards)

    def start_functions(self) -> None:
        """Start the functions and the bridge in front of them, in `start` or after they were stopped."""
        settings = self.settings
        with self.progress.step(f"functions, schedules and queue mappings; API on port {settings.api_port}"):
            # The variables keep the passwords out of the list of processes.
            urls = {
                variable_of("rabbitmq_url"): rabbitmq.functions_url_of(settings),
                CLOCK_DATABASE: postgres.administrator_url_of(settings),
            }
            child = self._start_module("bridge", "local.bridge", self._bridge_arguments(), urls)
            self._wait_for_functions(child)

    def _wait_for_functions(self, child: Child) -> None:
        api_url = self.settings.api_url
        try:
            self.processes.wait_until_ready(
                child, lambda: BRIDGE_READY in child.output() and answers(f"{api_url}/health"), BRIDGE_SECONDS_MAX
            )
        except NotReadyError as error:
            raise NotReadyError(f"{error}\n{why_not_ready(api_url, self.functions_logs())}") from None

    def functions_logs(self) -> list[Path]:
        """Return the files in which the functions log."""
        template = read_template(PROJECT / "template.yaml", {}, read_ssm=lambda name: name)
        return [self.processes.log_of(name) for name in template.functions]

    def _bridge_arguments(self) -> list[str]:
        arguments = ["--logs-dir", str(self.settings.logs_dir)]
        arguments += [f"--parameter={name}={value}" for name, value in self.parameters.items()]
        if self.has_test_clock:
            arguments += ["--clock", f"--gateway-url={self.settings.gateway_url}"]
        if self.settings.reload:
            arguments.append("--reload")
        replaced = workers.replaced_functions() if self.settings.workers else []
        return [*arguments, *(f"--without={logical_id}" for logical_id in dict.fromkeys([*replaced, *self.left_out]))]

    def start_workers(self) -> None:
        """Start the workers that the settings ask for, in `start` or after the functions were started again."""
        if self.settings.workers:
            with self.progress.step("workers in place of the relay and the queue mappings"):
                workers.start(self.settings, self.processes, self.parameters, self._environment())

    def stop(self) -> None:
        """Stop everything this stack has started."""
        self.processes.stop()
        self.restarts.close()
        if self.settings.compose:
            compose.stop(self.settings)
        self.settings.forget()

    def watch(self, seconds: float) -> None:
        """Wait `seconds` and restart what ends. Raises ServerDiedError when the stack cannot go on without it."""
        deadline = time.monotonic() + seconds
        while True:
            self.restarts.look()
            if time.monotonic() >= deadline:
                return
            time.sleep(0.2)

    def _make_ready(self, child: Child) -> None:
        """Wait until a process that was started again works, and give it back what it has forgotten."""
        settings, processes = self.settings, self.processes
        ways: dict[str, Callable[[], None]] = {
            "postgres": lambda: postgres.become_ready(processes, child, settings.postgres_port),
            "rabbitmq": lambda: self._make_broker_ready(child),
            "moto": lambda: self._make_moto_ready(child),
            "gateway": lambda: self._wait_until_healthy(child, settings.gateway_url),
            "sink": lambda: self._wait_until_healthy(child, settings.sink_url),
            "bridge": lambda: self._wait_for_functions(child),
            "forward": lambda: self._wait_until_forwarding(child),
        }
        ways |= {name: lambda: workers.become_ready(processes, child) for name in workers.process_names(settings)}
        if child.name in ways:
            ways[child.name]()

    def _make_broker_ready(self, child: Child) -> None:
        rabbitmq.become_ready(self.settings, self.processes, child)
        self.declare_topology()

    def _make_moto_ready(self, child: Child) -> None:
        moto.become_ready(self.settings, self.processes, child)
        self._write_aws()

    def _start(self, ports: Iterable[str], parts: list[Callable[[], None]]) -> None:
        # An earlier stack in this folder may have left processes behind, after a crash or a kill -9.
        stop_recorded(self.settings.state_dir)
        restarts.forget(self.settings.state_dir)
        self._remove_old_logs()
        self.settings.record()
        for name in ports:
            if not self._is_given(name):
                ensure_port_free(getattr(self.settings, name), PORTS[name], variable_of(name))
        if self.settings.compose:
            self._or_stop(self._start_compose)
        self._or_stop(lambda: self._run_in_parallel([*parts, _load_libraries]))

    def _start_compose(self) -> None:
        with self.progress.step("PostgreSQL, RabbitMQ and the AWS fake in Docker"):
            compose.start(self.settings, self.processes)

    def _remove_old_logs(self) -> None:
        for log in self.settings.logs_dir.glob("*.log"):
            if log.stem not in {SUPERVISOR, ERRORS}:
                log.unlink()

    def _is_given(self, port: str) -> bool:
        """Return whether the user runs the server of this port."""
        if port == "postgres_port":
            return bool(self.settings.postgres_url)
        if port == "aws_port":
            return bool(self.settings.aws_endpoint)
        return port in {"amqp_port", "management_port"} and bool(self.settings.rabbitmq_url)

    def _place(self, port: str, url: str) -> str:
        """Return where a server is, for a progress line: the place in the user's URL, or the port."""
        return f"at {urlsplit(url).netloc.rpartition('@')[2]}" if url else f"on port {getattr(self.settings, port)}"

    def _run_in_parallel(self, parts: list[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(len(parts)) as pool:
            try:
                for finished in as_completed([pool.submit(part) for part in parts]):
                    finished.result()
            except BaseException:
                # The other parts notice this and return. The pool waits for them.
                self.processes.stop()
                raise

    def _or_stop(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException:
            self.stop()
            raise

    def _start_postgres(self) -> None:
        with self.progress.step(f"PostgreSQL {self._place('postgres_port', self.settings.postgres_url)}"):
            self.database = postgres.start(self.settings, self.processes)
        with self.progress.step("schema migrated, merchants registered"):
            seed.migrate_and_register(self.database.url)
            self._set_database_clock()
        self._is_migrated.set()

    def _set_database_clock(self) -> None:
        """Let the database go on ahead of the machine by as much as when the stack stopped."""
        clock.install(self.database.url)
        ahead = Offset(self._clock_file).read() if self.has_test_clock else timedelta()
        with closing(DatabaseClock(postgres.administrator_url_of(self.settings))) as database_clock:
            database_clock.set_ahead(ahead)

    @property
    def clock_variables(self) -> dict[str, str]:
        """Return the variable by which a process keeps the stack's time; none where the stack has no test clock."""
        return {VARIABLE: str(self._clock_file)} if self.has_test_clock else {}

    @property
    def _clock_file(self) -> Path:
        return self.settings.state_dir / FILE_NAME

    def _start_rabbitmq(self) -> None:
        with self.progress.step(f"RabbitMQ {self._place('amqp_port', self.settings.rabbitmq_url)}"):
            self.broker = rabbitmq.start(self.settings, self.processes, self.progress)
        with self.progress.step("broker topology declared"):
            self.declare_topology()

    def _start_moto(self) -> None:
        with self.progress.step(f"AWS fake {self._place('aws_port', self.settings.aws_endpoint)}"):
            moto.start(self.settings, self.processes)
            with aws.errors_as_a_sentence(self.settings):
                self._write_aws()

    def _write_aws(self) -> None:
        settings = self.settings
        seed.write_aws(settings, postgres.database_url_of(settings), rabbitmq.functions_url_of(settings))
        seed.verify_sender(settings)
        seed.create_archive_and_bus(settings)

    def _start_moto_and_functions(self) -> None:
        """Start the functions while RabbitMQ starts, as soon as the database and the parameters are there."""
        self._start_moto()
        self.processes.wait_while_starting(lambda: self._is_migrated.is_set() and self._is_broker_on_its_way())
        self.start_functions()

    def _is_broker_on_its_way(self) -> bool:
        """Return whether RabbitMQ has been found. Its first start downloads it, which takes minutes."""
        names = [child.name for child in list(self.processes.children)]
        return bool(self.settings.rabbitmq_url) or "rabbitmq" in names

    def _start_gateway(self) -> None:
        settings = self.settings
        log = settings.state_dir / "gateway" / "charges.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        with self.progress.step(f"simulated gateway on port {settings.gateway_port}"):
            arguments = ["--port", str(settings.gateway_port), "--log", str(log)]
            notices = {
                "GATEWAY_NOTICES_URL": f"{settings.api_url}/api/v1/gateways/default/notices",
                "GATEWAY_NOTICES_SECRET": seed.GATEWAY_NOTICES_SECRET,
            }
            child = self._start_module("gateway", "local.gateway", arguments, notices)
            self._wait_until_healthy(child, settings.gateway_url)

    def _start_sink(self) -> None:
        settings = self.settings
        with self.progress.step(f"webhook sink on port {settings.sink_port}"):
            arguments = ["--port", str(settings.sink_port)]
            child = self._start_module("sink", "local.sink", arguments)
            self._wait_until_healthy(child, settings.sink_url)

    def _start_forwarding(self) -> None:
        """Forward from the address that containers call to loopback, unless Docker Desktop does."""
        settings = self.settings
        if not is_own_address(settings.container_host):
            return
        management_url = settings.rabbitmq_management_url or f"http://127.0.0.1:{settings.management_port}"
        servers = [postgres.database_url_of(settings), rabbitmq.amqp_url_of(settings), management_url]
        urls = [urlsplit(url) for url in (*servers, settings.aws_url, settings.gateway_url, settings.sink_url)]
        ports = [str(url.port) for url in urls if url.hostname in {"127.0.0.1", "localhost"}]
        child = self._start_module("forward", "local.stack.forward", [settings.container_host, *ports])
        self._wait_until_forwarding(child)

    def _wait_until_forwarding(self, child: Child) -> None:
        self.processes.wait_until_ready(child, lambda: FORWARDING in child.output(), START_SECONDS_MAX)

    def _start_module(
        self, name: str, module: str, arguments: list[str], more_environment: dict[str, str] | None = None
    ) -> Child:
        """Start `python -m module`."""
        environment = {**self._environment(), **(more_environment or {})}
        return self.processes.start(name, [sys.executable, "-m", module, *arguments], environment, cwd=PROJECT)

    def _wait_until_healthy(self, child: Child, url: str) -> None:
        self.processes.wait_until_ready(child, lambda: answers(f"{url}/health"), START_SECONDS_MAX)

    def _environment(self) -> dict[str, str]:
        """Return the environment of our own Python processes: settings, AWS fake and import paths."""
        endpoint = {
            "AWS_ENDPOINT_URL": self.settings.aws_url,
            "AWS_REGION": AWS_REGION,
            "AWS_DEFAULT_REGION": AWS_REGION,
        }
        paths = {"PYTHONPATH": os.pathsep.join(map(str, PYTHON_PATH)), "PYTHONUNBUFFERED": "1"}
        given = {name: value for name, value in self.settings.environment().items() if value}
        return {**os.environ, **endpoint, **AWS_KEYS, **paths, **given, **self.clock_variables}


def _load_libraries() -> None:
    """Import what declares the topology while RabbitMQ starts."""
    importlib.import_module("httpx")
