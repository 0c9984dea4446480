"""RabbitMQ from Debian's or Ubuntu's packages, unpacked into the project's cache by any user.

apt works here with its own lists, cache and locks inside the cache folder, so it needs no root and changes nothing in
the system. It resolves against a copy of the system's package status and downloads only what the system lacks.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from local.errors import LocalError
from local.servers.processes import Processes
from local.servers.progress import Progress

SYSTEM_STATUS = Path("/var/lib/dpkg/status")
TOOLS = ("apt-get", "dpkg-deb")
# Only these packages are unpacked. The others (socat, logrotate, adduser …) serve the system's service.
USED_PREFIXES = ("erlang", "rabbitmq", "lib")
ERLANG = "usr/lib/erlang"


def is_usable() -> bool:
    """Return whether this system has Debian's package tools."""
    return SYSTEM_STATUS.exists() and all(shutil.which(tool) for tool in TOOLS)


def unpacked_rabbitmq(cache_dir: Path, processes: Processes, progress: Progress) -> Path:
    """Return the root folder of an unpacked RabbitMQ with its Erlang. Download it at the first use.

    Raises LocalError when apt cannot find or fetch the packages.
    """
    root = cache_dir / "rabbitmq"
    if not _is_complete(root):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with (cache_dir / "rabbitmq.lock").open("w") as lock:
            # Stacks that start at the same time download once.
            processes.wait_while_starting(lambda: _is_locked(lock))
            if not _is_complete(root):
                _bring(root, processes, progress)
    return root


def _is_complete(root: Path) -> bool:
    return (root / ".complete").exists()


def _is_locked(lock: IO[str]) -> bool:
    """Return whether this process has got the lock. It keeps it until it closes the file."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bring(root: Path, processes: Processes, progress: Progress) -> None:
    work = root.with_name("rabbitmq.partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        packages = _download(work, processes, progress)
        _unpack(packages, work / "root", processes, progress)
        _correct_erlang_root(work / "root", root)
        (work / "root" / ".complete").touch()
        shutil.rmtree(root, ignore_errors=True)
        (work / "root").rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def server_script(root: Path) -> Path:
    return next(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))


def environment(root: Path) -> dict[str, str]:
    """Return the variables by which the unpacked server finds its Erlang and libraries."""
    libraries = sorted({str(path.parent) for path in root.glob("**/lib/**/*.so.*") if ERLANG not in str(path)})
    variables = {"PATH": f"{root / ERLANG / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"}
    return {**variables, "LD_LIBRARY_PATH": ":".join(libraries)} if libraries else variables


def _download(work: Path, processes: Processes, progress: Progress) -> list[Path]:
    """Download the packages that RabbitMQ needs here, as apt resolves them, and return their files."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    status = work / "state" / "status"
    shutil.copyfile(SYSTEM_STATUS, status)
    progress.note("RabbitMQ is not installed: fetching Debian's packages into the project's cache, once")
    update_error = _attempt(processes, [*_apt(work), "update"])
    if _attempt(processes, [*_install(work), "--simulate"]):
        # The system's packages conflict (held or half installed): resolve as for an empty system.
        status.write_text("")
    try:
        listed = processes.run_tool([*_install(work), "--print-uris"])
    except LocalError as error:
        raise LocalError(
            f"apt has no rabbitmq-server here: {update_error or error}\nInstall RabbitMQ, or set "
            "PAYBRIDGE_LOCAL_RABBITMQ_URL to a running one."
        ) from None
    megabytes = sum(int(line.split()[2]) for line in listed.splitlines() if line.startswith("'")) / 1e6
    progress.note(f"RabbitMQ: downloading {megabytes:.0f} MB")
    processes.run_tool([*_install(work), "--download-only"])
    return sorted((work / "cache" / "archives").glob("*.deb"))


def _unpack(packages: list[Path], root: Path, processes: Processes, progress: Progress) -> None:
    used = [package for package in packages if package.name.startswith(USED_PREFIXES)]
    progress.note(f"RabbitMQ: unpacking {len(used)} packages")
    for package in used:
        processes.run_tool(["dpkg-deb", "-x", package, root])


def _correct_erlang_root(unpacked: Path, final: Path) -> None:
    """Replace the folder in Erlang's start scripts by the one where Erlang is going to be."""
    scripts = [*unpacked.glob(f"{ERLANG}/bin/*"), *unpacked.glob(f"{ERLANG}/erts-*/bin/*")]
    for script in scripts:
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if content.startswith(b"#!"):
            script.write_bytes(content.replace(b"/usr/lib/erlang", str(final / ERLANG).encode()))


def _apt(work: Path) -> list[str]:
    options = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "state" / "status",
        "Dir::State::lists": work / "state" / "lists",
        "Dir::Cache": work / "cache",
        "Dir::Log": work / "log",
        "Debug::NoLocking": "true",
        # As root, apt would download as a user that cannot enter the project's folder.
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        "Acquire::Retries": "3",
        "APT::Get::AllowUnauthenticated": "false",
    }
    return ["apt-get", "-q", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]


def _install(work: Path) -> list[str]:
    return [*_apt(work), "install", "--no-install-recommends", "--yes", "rabbitmq-server"]


def _attempt(processes: Processes, command: list[str]) -> str:
    """Run `command` and return its error, empty if it succeeded."""
    try:
        processes.run_tool(command)
    except LocalError as error:
        return str(error)
    return ""
