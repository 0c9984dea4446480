"""Time the first invocation of each function in a fresh process, import included, and measure its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import boto3
import psutil

from bench.client import order
from bench.results import ROUNDS, Figure, Goal, Measure, number_text
from bench.servers import Servers, open_database
from infra.sam_template.definitions import FunctionDefinition
from infra.sam_template.template import read_template
from local.servers import moto
from local.servers.processes import Processes
from local.settings import AWS_KEYS, AWS_REGION, PROJECT, LocalSettings
from local.stack import seed
from local.stack.parameters import PARAMETERS
from local.testkit.api import MERCHANT_KEY, demo_merchant_id, http_event
from local.testkit.local_servers import running_gateway, running_sink
from local.testkit.payments import new_payment
from local.testkit.rmq import outbox_bodies, rmq_event
from local.testkit.servers import private_settings
from paybridge.database.database import Database, Statement

CHILD = Path(__file__).with_name("cold_start.py")
GOAL_API_SECONDS = 0.6
# The relay works until 3 s before its deadline. The others take as long as they need.
RELAY_SECONDS = 3.7
SECONDS_MAX = 25.0
RIVAL = "all imported at once"

_PUBLISHED_AT = Statement("""
    SELECT extract(epoch FROM published_at)::double precision FROM outbox
    WHERE payment_id = :id::uuid AND type = 'payment.created'
""")


@dataclass(frozen=True, slots=True)
class Start:
    """A cold start: seconds for the import and for the first invocation, and MiB resident after both."""

    import_seconds: float
    first_seconds: float
    resident_mib: float

    @property
    def seconds(self) -> float:
        """Return the seconds of both together."""
        return self.import_seconds + self.first_seconds


@dataclass(frozen=True, slots=True)
class Place:
    """The services behind the functions: a database with a merchant, the AWS fake with secrets, a webhook receiver."""

    database: Database
    merchant_id: UUID
    sink_url: str
    functions: Mapping[str, FunctionDefinition]
    aws: Mapping[str, str]

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment of a function. The rival uses that of the API."""
        definition = self.functions[name]
        path = os.pathsep.join(map(str, (definition.code_dir, *definition.layer_dirs, PROJECT)))
        kept = {variable: os.environ[variable] for variable in ("PATH", "HOME") if variable in os.environ}
        return {**kept, **self.aws, **definition.environment, "PYTHONPATH": path, "TZ": "UTC"}

    def payment(self) -> UUID:
        """Create a payment, whose event is then due in the outbox."""
        return new_payment(self.database, self.merchant_id, webhook_url=f"{self.sink_url}/ok/cold")

    def event_of(self, payment_id: UUID) -> bytes:
        """Return the payment's event as it arrives from a queue."""
        return outbox_bodies(self.database, [payment_id], "payment.created")[0]


def measure(servers: Servers) -> Measure:
    """Start every function in turn, each time in a new process. Its secrets come from the AWS fake."""
    starts: dict[str, list[Start]] = {}
    with _place(servers) as place:
        for number in range(1, ROUNDS + 1):
            for name, start in _STARTERS.items():
                starts.setdefault(name, []).append(start(place))
            found = ", ".join(f"{name} {number_text(done[-1].seconds)} s" for name, done in starts.items())
            servers.say(f"round {number} of {ROUNDS}: {found}")
    return Measure(
        "cold", list(_figures(starts)), ["Import and first invocation, without the start of the interpreter."]
    )


def _figures(starts: Mapping[str, list[Start]]) -> Iterator[Figure]:
    for name, done in starts.items():
        goal = Goal(GOAL_API_SECONDS, at_most=True) if name == "api" else None
        yield Figure(name, "s", tuple(start.seconds for start in done), goal, is_rival=name == RIVAL)
    for name, done in starts.items():
        memory = tuple(start.resident_mib for start in done)
        yield Figure(f"{name}, resident", "MiB", memory, is_rival=name == RIVAL, compared_with="api, resident")
    for name, done in starts.items():
        imports = tuple(start.import_seconds for start in done)
        yield Figure(
            f"{name}, import",
            "s",
            imports,
            is_rival=name == RIVAL,
            compared_with="api, import",
            panel="import",
            is_detail=True,
        )


@contextmanager
def _place(servers: Servers) -> Iterator[Place]:
    url, amqp_url = servers.postgres.fresh_database(), servers.broker.fresh_vhost().amqp_url
    settings = private_settings(servers.folder / "cold")
    processes = Processes(settings.state_dir)
    try:
        servers.say("starting the AWS fake")
        moto.start(settings, processes)
        seed.migrate_and_register(url)
        with (
            running_gateway(servers.folder / "cold-charges.jsonl") as gateway_url,
            running_sink() as sink_url,
            open_database(url) as database,
        ):
            settings = replace(settings, gateway_port=int(gateway_url.rpartition(":")[2]))
            seed.write_aws(settings, url, amqp_url)
            merchant_id = demo_merchant_id(database)
            yield Place(database, merchant_id, sink_url, _functions(settings, amqp_url), _aws(settings))
    finally:
        processes.stop(seconds_max=1)
    servers.postgres.drop_database(url)


def _aws(settings: LocalSettings) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": settings.aws_url,
        "AWS_REGION": AWS_REGION,
        "AWS_DEFAULT_REGION": AWS_REGION,
        **AWS_KEYS,
    }


def _functions(settings: LocalSettings, amqp_url: str) -> dict[str, FunctionDefinition]:
    """Return the template's functions by their folder."""
    ssm = boto3.client(
        "ssm",
        endpoint_url=settings.aws_url,
        region_name=AWS_REGION,
        aws_access_key_id=AWS_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=AWS_KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    parameters = {**PARAMETERS, "BrokerVirtualHost": unquote(urlsplit(amqp_url).path[1:])}
    template = read_template(
        PROJECT / "template.yaml",
        parameters,
        read_ssm=lambda name: str(ssm.get_parameter(Name=name)["Parameter"]["Value"]),
    )
    return {definition.handler.partition(".")[0]: definition for definition in template.functions.values()}


def _start(
    place: Place, name: str, event: Any, handler: str = "", seconds_max: float = SECONDS_MAX
) -> tuple[Start, Any]:
    """Start a process that imports the handler and handles the event. Return its cost and its whole report."""
    command = [sys.executable, "-P", str(CHILD), handler or place.functions[name].handler, str(seconds_max)]
    with subprocess.Popen(
        command, env=place.variables(name), cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(event) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{name} did not start: see its error above")
        found = json.loads(line)
        resident_mib = psutil.Process(process.pid).memory_info().rss / 2**20
        process.stdin.close()
    return Start(found["import"], found["first"], resident_mib), found


def _start_api(place: Place, handler: str = "") -> Start:
    headers = {"x-api-key": MERCHANT_KEY, "idempotency-key": str(uuid4()), "content-type": "application/json"}
    body = json.dumps(order(f"{place.sink_url}/ok/cold")).encode()
    start, found = _start(place, "api", http_event("POST", "/api/v1/payments", headers=headers, body=body), handler)
    assert found["answer"]["statusCode"] == 202, found["answer"]
    return start


def _start_relay(place: Place) -> Start:
    """Start the relay. It runs until its deadline, so time the first published row instead."""
    payment_id = place.payment()
    start, found = _start(place, "relay", {}, seconds_max=RELAY_SECONDS)
    (published_at,) = place.database.run(_PUBLISHED_AT, id=payment_id)[0]
    assert published_at is not None, "the relay published nothing"
    return replace(start, first_seconds=published_at - found["called_at"])


def _start_consumer(place: Place) -> Start:
    start, found = _start(place, "consumer", rmq_event("payments.new", [place.event_of(place.payment())]))
    assert found["answer"]["processed"] == 1, found["answer"]
    return start


def _start_webhooks(place: Place) -> Start:
    outcome = place.event_of(place.payment()).replace(b'"payment.created"', b'"payment.succeeded"')
    start, found = _start(place, "webhooks", rmq_event("webhooks", [outcome]))
    assert found["answer"]["deliveries"] == 1, found["answer"]
    return start


_STARTERS: dict[str, Callable[[Place], Start]] = {
    "api": _start_api,
    "relay": _start_relay,
    "consumer": _start_consumer,
    "webhooks": _start_webhooks,
    "jobs": lambda place: _start(place, "jobs", {})[0],
    RIVAL: lambda place: _start_api(place, "bench.rivals.imported_at_once.handler"),
}
