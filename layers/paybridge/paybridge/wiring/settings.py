"""Every setting, read from the environment once, at cold start, and checked there."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import orjson

from paybridge.core.errors import PaybridgeError, SecretUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.secrets.ports import CURRENT, PENDING
from paybridge.webhooks.domain.address import IpNetwork

# Of instances and clusters; a proxy's name has `.proxy-` in it, and a certificate that every machine trusts.
_RDS_ENDPOINT = re.compile(r"^(?!.*\.proxy-).*\.rds\.(.+\.)?amazonaws\.com")

DATABASE_LOGIN: Final = "DATABASE_SECRET_ID"
BROKER_LOGIN: Final = "BROKER_SECRET_ID"


class SettingsInvalid(PaybridgeError):
    """A setting is missing or cannot be read; the message names the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Where the payment gateway is and how patiently it is asked."""

    url: str
    timeout_seconds: float
    # Waits between the tries of one charge; one more try than waits.
    retry_delays_seconds: tuple[float, ...]
    circuit_failure_threshold: int
    circuit_cooldown_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """How webhooks are delivered."""

    # Waits between the attempts of one delivery; one more attempt than waits.
    retry_delays_seconds: tuple[float, ...]
    timeout_seconds: float
    fast_timeout_seconds: float
    # Whose addresses webhooks may go to beside public ones, by plain http and on any port.
    local_networks: tuple[IpNetwork, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """How the outbox is drained."""

    batch_rows: int
    idle_poll_seconds_max: float


class Environment:
    """Reads typed values from the environment; raises SettingsInvalid with the variable's name."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def text(self, name: str, default: str | None = None) -> str:
        """The variable's text, or the default where there is one."""
        value = self._variables.get(name) or default
        if value is None:
            raise SettingsInvalid(f"The environment variable {name} is not set.")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """The variable as a whole number ≥ 1."""
        return int(self._number(name, default, int))

    def seconds(self, name: str, default: float | None = None) -> float:
        """The variable as a number of seconds > 0."""
        return self._number(name, default, float)

    def seconds_list(self, name: str, default: str) -> tuple[float, ...]:
        """The variable as seconds with commas between them, such as `1,2,4`; may be empty for no retry."""
        text = self._variables.get(name, default)
        try:
            values = tuple(float(part) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise SettingsInvalid(f"{name} must be seconds with commas between them, not {text!r}.") from error
        if any(value <= 0 for value in values):
            raise SettingsInvalid(f"{name} must hold positive seconds, not {text!r}.")
        return values

    def networks(self, name: str) -> tuple[IpNetwork, ...]:
        """The variable as networks with commas between them, such as `127.0.0.0/8,::1/128`; none when it is empty."""
        text = self._variables.get(name, "")
        try:
            return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
        except ValueError as error:
            raise SettingsInvalid(f"{name} must be networks with commas between them, not {text!r}.") from error

    def _number(self, name: str, default: float | None, kind: type[int] | type[float]) -> float:
        text = self._variables.get(name)
        if not text:
            if default is None:
                raise SettingsInvalid(f"The environment variable {name} is not set.")
            return default
        try:
            value = kind(text)
        except ValueError as error:
            raise SettingsInvalid(f"{name} must be a number, not {text!r}.") from error
        if not 0 < value < float("inf"):
            raise SettingsInvalid(f"{name} must be positive, not {text!r}.")
        return value


def gateway_settings(environment: Environment) -> GatewaySettings:
    """The gateway's part of the environment."""
    return GatewaySettings(
        url=environment.text("GATEWAY_URL").rstrip("/"),
        timeout_seconds=environment.seconds("GATEWAY_TIMEOUT_SECONDS", 6),
        retry_delays_seconds=environment.seconds_list("GATEWAY_RETRY_DELAYS_SECONDS", "2,10,60,300"),
        circuit_failure_threshold=environment.integer("CIRCUIT_FAILURE_THRESHOLD", 20),
        circuit_cooldown_seconds=environment.seconds("CIRCUIT_COOLDOWN_SECONDS", 30),
    )


def webhook_settings(environment: Environment) -> WebhookSettings:
    """The webhooks' part of the environment."""
    return WebhookSettings(
        retry_delays_seconds=environment.seconds_list(
            "WEBHOOK_RETRY_DELAYS_SECONDS", "5,300,1800,7200,18000,36000,86400"
        ),
        timeout_seconds=environment.seconds("WEBHOOK_TIMEOUT_SECONDS", 15),
        fast_timeout_seconds=environment.seconds("WEBHOOK_FAST_TIMEOUT_SECONDS", 3),
        local_networks=environment.networks("WEBHOOK_LOCAL_NETWORKS"),
    )


def relay_settings(environment: Environment) -> RelaySettings:
    """The relay's part of the environment."""
    return RelaySettings(
        batch_rows=environment.integer("RELAY_BATCH_ROWS", 500),
        idle_poll_seconds_max=environment.seconds("RELAY_IDLE_POLL_SECONDS_MAX", 2),
    )


def name_process(name: str) -> None:
    """Names this process in its log lines and its database session, unless POWERTOOLS_SERVICE_NAME does."""
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", name)


def database_address(environment: Environment, secrets: SecretReader) -> DatabaseAddress:
    """Where the database is; the login comes from Secrets Manager."""
    return login_address(environment, secrets.read(environment.text(DATABASE_LOGIN)))


def login_address(environment: Environment, login: Mapping[str, str]) -> DatabaseAddress:
    """Where the database is, with this login."""
    return DatabaseAddress(
        host=environment.text("DATABASE_HOST"),
        port=environment.integer("DATABASE_PORT", 5432),
        name=environment.text("DATABASE_NAME", "paybridge"),
        user=login["username"],
        password=login["password"],
        tls=_tls_context(environment),
    )


def renewed_database_addresses(
    environment: Environment, secrets: SecretReader, secret_id: str
) -> Iterator[DatabaseAddress]:
    """The addresses to try once the login in this secret is refused: see `SecretReader.read_again`."""
    for login in secrets.read_again(secret_id):
        yield login_address(environment, login)


def broker_url(environment: Environment, secrets: SecretReader) -> str:
    """The broker's AMQP URL with the virtual host and the login from Secrets Manager put in."""
    return broker_url_with(environment, secrets.read(environment.text(BROKER_LOGIN)))


def broker_url_with(environment: Environment, login: Mapping[str, str]) -> str:
    """The broker's AMQP URL with the virtual host and this login put in."""
    from urllib.parse import quote

    scheme, _, place = environment.text("BROKER_URL").rstrip("/").partition("://")
    if "/" in place:
        # The mappings take it from the same parameter, and a second place could contradict it.
        raise SettingsInvalid("BROKER_URL must end with the port: BROKER_VIRTUAL_HOST names the virtual host.")
    vhost = environment.text("BROKER_VIRTUAL_HOST", "/")
    path = "" if vhost == "/" else f"/{quote(vhost, safe='')}"
    return f"{scheme}://{quote(login['username'], safe='')}:{quote(login['password'], safe='')}@{place}{path}"


def renewed_broker_urls(environment: Environment, secrets: SecretReader) -> Iterator[str]:
    """The URLs to try once a login is refused: see `SecretReader.read_again`."""
    for _ in secrets.read_again(environment.text(BROKER_LOGIN)):
        yield broker_url(environment, secrets)


class SecretReader:
    """Reads JSON secrets from Secrets Manager, once per environment and whenever a login is refused."""

    def __init__(self) -> None:
        self._cache: dict[str, dict[str, str]] = {}

    def read(self, secret_id: str) -> dict[str, str]:
        """The secret's JSON object, as it was last handed out.

        Raises SettingsInvalid when it is no object with a username and a password, SecretUnavailable without an answer.
        """
        if secret_id not in self._cache:
            self._cache[secret_id] = self._fetch(secret_id, CURRENT)
        return self._cache[secret_id]

    def read_again(self, secret_id: str) -> Iterator[dict[str, str]]:
        """What the secret holds now, then what a rotation that is under way is about to put there; from then on `read`.

        Raises SettingsInvalid and SecretUnavailable as `read` does.
        """
        current = self._cache[secret_id] = self._fetch(secret_id, CURRENT)
        yield current
        try:
            pending = self._fetch(secret_id, PENDING)
        except SecretUnavailable:
            return  # No rotation is under way: the refusal stands.
        if pending != current:
            self._cache[secret_id] = pending
            yield pending

    def _fetch(self, secret_id: str, stage: str) -> dict[str, str]:
        from aws_lambda_powertools.utilities import parameters
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

        try:
            # Powertools would keep it for some seconds, whichever stage it is of.
            text = parameters.get_secret(secret_id, max_age=0, VersionStage=stage)
        except GetParameterError as error:
            raise SecretUnavailable(f"Cannot read the secret {secret_id}.") from error
        return login_of(secret_id, text)


def login_of(secret_id: str, text: str | bytes) -> dict[str, str]:
    """The secret's JSON; raises SettingsInvalid unless it is an object with a username and a password."""
    try:
        secret: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        secret = None
    if not isinstance(secret, dict) or not {"username", "password"} <= secret.keys():
        raise SettingsInvalid(f"The secret {secret_id} needs a username and a password.")
    return secret


def _tls_context(environment: Environment) -> ssl.SSLContext | None:
    mode = environment.text("DATABASE_TLS", "verify-full")
    if mode == "disable":
        return None
    if mode != "verify-full":
        raise SettingsInvalid(f"DATABASE_TLS must be verify-full or disable, not {mode!r}.")
    file = environment.text("DATABASE_TLS_CA_FILE")
    try:
        # The default context verifies the chain and the host name.
        context = ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsInvalid(f"DATABASE_TLS_CA_FILE names {file}, which holds no certificates in PEM.") from error
    if _RDS_ENDPOINT.search(environment.text("DATABASE_HOST")) and not _trusts_rds(context):
        raise SettingsInvalid(
            f"DATABASE_HOST is an endpoint of RDS itself, whose authorities are not in {file}: use RDS Proxy, or name "
            "Amazon's RDS bundle in DATABASE_TLS_CA_FILE (docs/developers/architecture.md, Deployment)."
        )
    return context


def _trusts_rds(context: ssl.SSLContext) -> bool:
    return any("Amazon RDS" in str(authority["subject"]) for authority in context.get_ca_certs())
