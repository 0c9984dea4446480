"""RabbitMQ of the offline stack: the user's by URL, or a private node on loopback.

The private node has its own name, ports, cookie, data, log and port mapper. It touches neither the system's RabbitMQ
nor another stack's.
"""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local.errors import LocalError, MissingToolError
from local.servers import broker_users, debian, docker
from local.servers.processes import Child, Processes, accepts_connections, answers, ensure_port_free, free_port
from local.servers.progress import Progress
from local.settings import LocalSettings, variable_of

NODE = "paybridge@localhost"
START_SECONDS_MAX = 90
PLUGINS = "[rabbitmq_management,rabbitmq_consistent_hash_exchange]."
# Two schedulers without busy waiting keep an idle laptop cool.
ERLANG_ARGUMENTS = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
HOMEBREW = (Path("/opt/homebrew/opt/rabbitmq"), Path("/usr/local/opt/rabbitmq"))


@dataclass(frozen=True, slots=True)
class Installation:
    """The start script, and the variables by which it finds Erlang."""

    server: Path
    environment: dict[str, str]


@dataclass(slots=True)
class RabbitMQServer:
    """A running broker; `management_url` holds the credentials."""

    amqp_url: str
    management_url: str
    settings: LocalSettings
    processes: Processes
    progress: Progress

    def stop(self) -> None:
        """Stop the private node. Durable queues keep their messages."""
        self.processes.stop_child("rabbitmq", seconds_max=30)
        self.processes.stop_child("epmd", seconds_max=5)

    def start(self) -> None:
        """Start the private node again after `stop`."""
        _start_private(self.settings, self.processes, self.progress)


def start(settings: LocalSettings, processes: Processes, progress: Progress) -> RabbitMQServer:
    """Start a private broker, or take the one that `settings.rabbitmq_url` names.

    Raises LocalError with a sentence for the user when that cannot be done.
    """
    if settings.rabbitmq_url:
        return RabbitMQServer(settings.rabbitmq_url, _given_management(settings), settings, processes, progress)
    _start_private(settings, processes, progress)
    return RabbitMQServer(
        amqp_url_of(settings),
        management_url_of(settings),
        settings,
        processes,
        progress,
    )


def amqp_url_of(settings: LocalSettings) -> str:
    """Return the URL of the broker, before and after it starts."""
    return settings.rabbitmq_url or f"amqp://guest:guest@127.0.0.1:{settings.amqp_port}/"


def management_url_of(settings: LocalSettings) -> str:
    """Return the URL of the management API with an administrator's login."""
    return settings.rabbitmq_management_url or f"http://guest:guest@127.0.0.1:{settings.management_port}"


def functions_url_of(settings: LocalSettings) -> str:
    """Return the URL with the login of the functions: on the private broker a user with only their rights."""
    return settings.rabbitmq_url or broker_users.url_of(amqp_url_of(settings))


def remove_data(settings: LocalSettings) -> None:
    """Delete the data of a private node that is stopped."""
    shutil.rmtree(settings.state_dir / "rabbitmq", ignore_errors=True)


def _start_private(settings: LocalSettings, processes: Processes, progress: Progress) -> None:
    ensure_port_free(settings.amqp_port, "RabbitMQ", variable_of("amqp_port"))
    ensure_port_free(settings.management_port, "RabbitMQ management", variable_of("management_port"))
    installation = find_installation(settings, processes, progress)
    if installation is None:
        docker.start_rabbitmq(settings, processes, PLUGINS)
    else:
        _start_node(settings, processes, installation)
    become_ready(settings, processes, next(child for child in processes.children if child.name == "rabbitmq"))


def become_ready(settings: LocalSettings, processes: Processes, child: Child) -> None:
    """Wait until the private node works. Raises ServerDiedError or NotReadyError."""
    processes.wait_until_ready(child, lambda: _is_ready(settings), START_SECONDS_MAX)


def find_installation(settings: LocalSettings, processes: Processes, progress: Progress) -> Installation | None:
    """Find an installed RabbitMQ or download one. Returns None if only Docker can run one."""
    installed = _installed_server()
    if installed is not None:
        return Installation(installed, {})
    if debian.is_usable():
        root = debian.unpacked_rabbitmq(settings.cache_dir, processes, progress)
        return Installation(debian.server_script(root), debian.environment(root))
    if shutil.which("brew"):
        progress.note("RabbitMQ: installing it with Homebrew, once; this takes a few minutes")
        processes.run_tool(["brew", "install", "rabbitmq"])
        installed = _installed_server()
        if installed is not None:
            return Installation(installed, {})
    if docker.is_usable():
        return None
    raise MissingToolError(
        "No RabbitMQ was found: install it (Debian and Ubuntu: apt install rabbitmq-server, macOS: brew install "
        f"rabbitmq), start Docker, or set {variable_of('rabbitmq_url')} to a running one."
    )


def _installed_server() -> Path | None:
    """Return the start script itself: Debian's wrapper around it works only for root and its own user."""
    scripts = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"), reverse=True)
    scripts += [prefix / "sbin" / "rabbitmq-server" for prefix in HOMEBREW]
    return next((script for script in scripts if script.exists()), None)


def _start_node(settings: LocalSettings, processes: Processes, installation: Installation) -> None:
    home = settings.state_dir / "rabbitmq"
    home.mkdir(parents=True, exist_ok=True)
    (home / "rabbitmq.conf").write_text(_configuration(settings))
    (home / "enabled_plugins").write_text(PLUGINS + "\n")
    epmd_port = free_port()
    environment = _environment(home, epmd_port, installation)
    # The port mapper is a child like the others: RabbitMQ would leave one behind that outlives it.
    epmd = shutil.which("epmd", path=environment["PATH"])
    if epmd is None:
        raise MissingToolError("RabbitMQ is here but Erlang's `epmd` is not: install Erlang (Debian: erlang-base).")
    mapper = processes.start("epmd", [epmd, "-address", "127.0.0.1", "-port", str(epmd_port)], environment)
    processes.wait_until_ready(mapper, lambda: accepts_connections(epmd_port), 10)
    # RabbitMQ writes a crash dump to its working directory if it is ended while it starts.
    processes.start("rabbitmq", [installation.server], environment, cwd=home)


def _configuration(settings: LocalSettings) -> str:
    lines = {
        "listeners.tcp.1": f"127.0.0.1:{settings.amqp_port}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": settings.management_port,
        # The write-ahead log of quorum queues is also held in memory. The default of 512 MB is too much for a laptop.
        "raft.wal_max_size_bytes": 64 * 1024 * 1024,
        "log.console": "true",
        "log.console.level": "warning",
        "log.file": "false",
    }
    return "".join(f"{name} = {value}\n" for name, value in lines.items())


def _environment(home: Path, epmd_port: int, installation: Installation) -> dict[str, str]:
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        # The Erlang cookie is in HOME.
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_LOG": "-color",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        # The start script then becomes the server instead of waiting for it, and signals reach the server.
        "RUNNING_UNDER_SYSTEMD": "true",
        **installation.environment,
    }


def _is_ready(settings: LocalSettings) -> bool:
    """Return whether the node works: management answers after its boot, and the AMQP listener opens last."""
    url = f"http://127.0.0.1:{settings.management_port}/api/overview"
    return answers(url, _basic("guest", "guest")) and accepts_connections(settings.amqp_port)


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _given_management(settings: LocalSettings) -> str:
    """Check that the management URL of the user's broker answers, and return it."""
    # Imported late: every other start does without it.
    import httpx

    url = settings.rabbitmq_management_url
    if not url:
        raise LocalError(f"Set {variable_of('rabbitmq_management_url')} as well: policies can only be declared there.")
    _require_form("rabbitmq_url", settings.rabbitmq_url, "amqp")
    _require_form("rabbitmq_management_url", url, "http")
    parts = urlsplit(url)
    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/overview", timeout=10, trust_env=False)
    except httpx.TransportError as error:
        name = variable_of("rabbitmq_management_url")
        raise LocalError(f"{name} names {parts.hostname}:{parts.port}, which does not answer: {error}.") from None
    if answer.status_code != httpx.codes.OK:
        name = variable_of("rabbitmq_management_url")
        raise LocalError(f"{name} answers {answer.status_code}: correct the user and password in it.")
    return url.rstrip("/")


def _require_form(name: str, url: str, scheme: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {scheme, f"{scheme}s"} and bool(parts.hostname and parts.username and parts.port)
    except ValueError:
        fits = False
    if not fits:
        raise LocalError(f"{variable_of(name)} is not of the form {scheme}://user:password@host:port: correct it.")
