"""Settings of the offline stack, from the environment and, below it, the project's `.env` file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from local.errors import LocalError

PROJECT = Path(__file__).resolve().parents[1]
# Where Python finds the functions, the layer and this package.
PYTHON_PATH = (PROJECT / "functions", PROJECT / "layers" / "paybridge", PROJECT)
# Credentials that moto and boto3 accept. Nothing real is reachable with them.
AWS_REGION = "eu-central-1"
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# Variables of other commands: `make package`, the Lambda host's own runtime, and the processes of the test clock.
OTHER_VARIABLES = (
    "PAYBRIDGE_ARCHITECTURE",
    "PAYBRIDGE_LOCAL_PURE_PYTHON_WORKER",
    "PAYBRIDGE_LOCAL_CLOCK_FILE",
    "PAYBRIDGE_LOCAL_CLOCK_POSTGRES_URL",
)
TEST_PREFIX = "PAYBRIDGE_TEST_"
# Similarity from 0 to 1 above which a name is taken for a misspelled one: two letters exchanged, added or lost.
CLOSE_ENOUGH = 0.85
# More workers do not help on two cores. The template maps at most eight shards.
WORKERS_MAX = 8
PAYMENT_SHARDS_MAX = 8
# How logs are printed: one readable line for each event, or the raw JSON lines.
TEXT_LOGS, JSON_LOGS = "text", "json"


VARIABLES = {
    "api_port": "PAYBRIDGE_API_PORT",
    "amqp_port": "PAYBRIDGE_LOCAL_AMQP_PORT",
    "management_port": "PAYBRIDGE_LOCAL_MANAGEMENT_PORT",
    "postgres_port": "PAYBRIDGE_LOCAL_POSTGRES_PORT",
    "aws_port": "PAYBRIDGE_LOCAL_AWS_PORT",
    "gateway_port": "PAYBRIDGE_LOCAL_GATEWAY_PORT",
    "sink_port": "PAYBRIDGE_LOCAL_SINK_PORT",
    "lambda_port": "PAYBRIDGE_LOCAL_LAMBDA_PORT",
    "state_dir": "PAYBRIDGE_LOCAL_STATE_DIR",
    "cache_dir": "PAYBRIDGE_CACHE_DIR",
    "postgres_url": "PAYBRIDGE_LOCAL_POSTGRES_URL",
    "rabbitmq_url": "PAYBRIDGE_LOCAL_RABBITMQ_URL",
    "rabbitmq_management_url": "PAYBRIDGE_LOCAL_RABBITMQ_MANAGEMENT_URL",
    "aws_endpoint": "PAYBRIDGE_LOCAL_AWS_URL",
    "container_host": "PAYBRIDGE_LOCAL_CONTAINER_HOST",
    "compose": "PAYBRIDGE_LOCAL_COMPOSE",
    "postgres_version": "PAYBRIDGE_LOCAL_POSTGRES_VERSION",
    "workers": "PAYBRIDGE_LOCAL_WORKERS",
    "payment_shards": "PAYBRIDGE_LOCAL_PAYMENT_SHARDS",
    "reload": "PAYBRIDGE_LOCAL_RELOAD",
    "log_format": "LOG_FORMAT",
    "gateway_success_rate": "GATEWAY_SUCCESS_RATE",
    "gateway_seed": "GATEWAY_SEED",
    "gateway_latency_seconds_min": "GATEWAY_LATENCY_SECONDS_MIN",
    "gateway_latency_seconds_max": "GATEWAY_LATENCY_SECONDS_MAX",
    "gateway_pending_seconds": "GATEWAY_PENDING_SECONDS",
    "webhook_retry_delays_seconds": "PAYBRIDGE_LOCAL_WEBHOOK_RETRY_DELAYS_SECONDS",
    "stripe_api_key": "PAYBRIDGE_LOCAL_STRIPE_API_KEY",
    "stripe_webhook_secret": "PAYBRIDGE_LOCAL_STRIPE_WEBHOOK_SECRET",
    "stripe_url": "PAYBRIDGE_LOCAL_STRIPE_URL",
}


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The settings of the offline stack. Every server listens on 127.0.0.1 only."""

    api_port: int = 8000
    amqp_port: int = 5672
    management_port: int = 15672
    postgres_port: int = 54320
    aws_port: int = 4566
    gateway_port: int = 8090
    sink_port: int = 8091
    lambda_port: int = 9001
    state_dir: Path = PROJECT / ".local"
    cache_dir: Path = PROJECT / ".cache"
    # Servers that the user runs. Empty means that the stack starts its own.
    postgres_url: str = ""
    rabbitmq_url: str = ""
    rabbitmq_management_url: str = ""
    aws_endpoint: str = ""
    # The IP address by which containers reach this machine. Empty where the functions run on it directly.
    container_host: str = ""
    # 1: these servers run in Docker, by compose.yaml.
    compose: int = 0
    postgres_version: int = 16
    # Processes of each `paybridge worker` in place of the relay and the queue mappings. 0 leaves the work to Lambda.
    workers: int = 0
    # Shards of the queue payments.new. 0 means the number in infra/topology.json.
    payment_shards: int = 0
    # 1: functions whose code is edited are replaced.
    reload: int = 1
    log_format: str = TEXT_LOGS
    gateway_success_rate: float = 0.9
    gateway_seed: str = ""
    gateway_latency_seconds_min: float = 2.0
    gateway_latency_seconds_max: float = 5.0
    gateway_pending_seconds: float = 3.0
    # Waits between the attempts of a webhook. Short, because a person waits; the test clock makes long ones pass.
    webhook_retry_delays_seconds: str = "1,2,4"
    # A secret key of Stripe's test mode. Empty: the stack has no gateway `stripe`.
    stripe_api_key: str = ""
    stripe_webhook_secret: str = ""
    stripe_url: str = "https://api.stripe.com"

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, env_file: Path = PROJECT / ".env") -> Self:
        """Read the settings; a variable in the environment wins over the same one in `env_file`.

        Raises LocalError for a wrong value, naming its variable, and for a port given twice, naming both.
        """
        given = {**read_env_file(env_file), **(os.environ if environment is None else environment)}
        values: dict[str, Any] = {}
        for item in fields(cls):
            text = given.get(VARIABLES[item.name], "")
            if text:
                values[item.name] = _convert(VARIABLES[item.name], text, type(item.default))
        settings = replace(cls(), **values)
        _refuse_equal_ports(settings)
        _refuse_beyond(settings, "workers", WORKERS_MAX)
        _refuse_beyond(settings, "payment_shards", PAYMENT_SHARDS_MAX)
        _refuse_beyond(settings, "compose", 1)
        _refuse_beyond(settings, "reload", 1)
        _refuse_names(settings)
        _refuse_other_formats(settings)
        return settings.with_servers_in_docker() if settings.compose else settings

    def environment(self) -> dict[str, str]:
        """Return the variables from which `load` makes the same settings again, for child processes.

        An empty variable is kept: it hides the same variable in the `.env` file.
        """
        return {VARIABLES[item.name]: str(getattr(self, item.name)) for item in fields(self)}

    def with_servers_in_docker(self) -> Self:
        """Return the settings with the URLs of the servers of compose.yaml, which replace any other URLs."""
        return replace(
            self,
            compose=1,
            postgres_url=f"postgresql://paybridge:paybridge@127.0.0.1:{self.postgres_port}/paybridge",
            rabbitmq_url=f"amqp://guest:guest@127.0.0.1:{self.amqp_port}/",
            rabbitmq_management_url=f"http://guest:guest@127.0.0.1:{self.management_port}",
            aws_endpoint=f"http://127.0.0.1:{self.aws_port}",
        )

    @property
    def logs_dir(self) -> Path:
        return self.state_dir / "logs"

    @property
    def aws_url(self) -> str:
        return self.aws_endpoint.rstrip("/") or f"http://127.0.0.1:{self.aws_port}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def sink_url(self) -> str:
        return f"http://127.0.0.1:{self.sink_port}"

    @property
    def lambda_url(self) -> str:
        return f"http://127.0.0.1:{self.lambda_port}"

    def record(self) -> None:
        """Save the settings for the commands that use the stack while it runs, or end what it left behind."""
        self._record_file.parent.mkdir(parents=True, exist_ok=True)
        self._record_file.touch(mode=0o600)
        # The URLs of the user's servers hold passwords.
        self._record_file.chmod(0o600)
        self._record_file.write_text(json.dumps(self.environment()))

    def forget(self) -> None:
        """Remove what `record` saved: the stack has left nothing behind."""
        self._record_file.unlink(missing_ok=True)

    def as_running(self) -> Self:
        """Return the settings of the stack in this state folder: its ports and servers, whatever is set now."""
        try:
            recorded = self.load(json.loads(self._record_file.read_text()), Path(os.devnull))
        except (OSError, ValueError, TypeError, LocalError):
            # An earlier version wrote it, or the disk was full.
            return self
        # How logs are printed is up to the command that prints them.
        return replace(recorded, state_dir=self.state_dir, log_format=self.log_format)

    def differences(self, other: Self) -> list[str]:
        """Return the variables of ports, processes and gateway that have another value in `other`."""
        compared = [item.name for item in fields(self) if item.name.startswith("gateway_")]
        compared += [item.name for item in fields(self) if item.name.endswith("_port")]
        compared += ["workers", "payment_shards", "postgres_version"]
        differing = {VARIABLES[name] for name in compared if getattr(self, name) != getattr(other, name)}
        return sorted(differing)

    @property
    def _record_file(self) -> Path:
        return self.state_dir / "settings.json"

    def seen_by_functions(self, address: str) -> str:
        """Return a loopback host or URL of the stack as the functions reach it."""
        if not self.container_host:
            return address
        return address.replace("127.0.0.1", self.container_host).replace("localhost", self.container_host)


def without_login(url: str) -> str:
    """Return the URL without user and password, as it may be printed."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def variable_of(name: str) -> str:
    """Return the environment variable of a settings field."""
    return VARIABLES[name]


def read_env_file(path: Path) -> dict[str, str]:
    """Return the `NAME=value` lines of a dotenv file, without comments, blank lines and quotes around values."""
    if not path.is_file():
        return {}
    values = {}
    for line in path.read_text().splitlines():
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("'\"")
    return values


def misspelled(environment: Mapping[str, str] | None = None, env_file: Path = PROJECT / ".env") -> Iterator[str]:
    """Yield a sentence for each variable that looks like a setting and is none, naming the likely one."""
    known = [*VARIABLES.values(), *OTHER_VARIABLES]
    for source, names in (
        (str(env_file), read_env_file(env_file)),
        ("The environment", os.environ if environment is None else environment),
    ):
        for name in sorted(set(names) - set(known)):
            if name.startswith(TEST_PREFIX):
                continue
            close = get_close_matches(name, known, n=1, cutoff=CLOSE_ENOUGH)
            is_in_file = source == str(env_file)
            if name.startswith("PAYBRIDGE_") or (close and is_in_file):
                likely = f"did you mean {close[0]}?" if close else "see .env.example for the settings."
                yield f"{source} sets {name}, which is not a setting: {likely}"


def _refuse_equal_ports(settings: LocalSettings) -> None:
    """Refuse two servers on one port: each would be taken for the other."""
    names: dict[int, str] = {}
    for item in fields(settings):
        if item.name.endswith("_port"):
            port, variable = getattr(settings, item.name), VARIABLES[item.name]
            if port in names:
                raise LocalError(f"{names[port]} and {variable} are both {port}: choose another port for one of them.")
            names[port] = variable


def _refuse_beyond(settings: LocalSettings, name: str, number_max: int) -> None:
    number = getattr(settings, name)
    if not 0 <= number <= number_max:
        raise LocalError(f"{VARIABLES[name]} is {number}: choose from 0 to {number_max}.")


def _refuse_names(settings: LocalSettings) -> None:
    """Refuse a host name as the container host: it goes into a list of networks."""
    try:
        if settings.container_host:
            IPv4Address(settings.container_host)
    except ValueError:
        variable = VARIABLES["container_host"]
        raise LocalError(
            f"{variable} is {settings.container_host!r}, which is not an IPv4 address: correct or remove it."
        ) from None


def _refuse_other_formats(settings: LocalSettings) -> None:
    if settings.log_format not in {TEXT_LOGS, JSON_LOGS}:
        raise LocalError(f"{VARIABLES['log_format']} is {settings.log_format!r}: choose {TEXT_LOGS} or {JSON_LOGS}.")


def _convert(variable: str, text: str, kind: type[Any]) -> Any:
    """Return `text` as the type of the field's default."""
    if issubclass(kind, Path):
        return Path(text).expanduser().absolute()
    try:
        value: Any = kind(text)
    except ValueError:
        raise LocalError(f"{variable} is {text!r}, which is not a number: correct or remove it.") from None
    if variable.endswith("_PORT") and not 0 < value < 65536:
        raise LocalError(f"{variable} is {text}, which is not a port: choose one from 1 to 65535.")
    return value
