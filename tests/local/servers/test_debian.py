"""RabbitMQ from unpacked Debian packages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.servers import debian
from local.servers.processes import Processes
from local.servers.progress import Progress


def unpacked(root: Path) -> Path:
    """A root folder with the relevant files of Debian's Erlang and RabbitMQ packages."""
    binaries = root / "usr/lib/erlang/bin"
    binaries.mkdir(parents=True)
    (binaries / "erl").write_text("#!/bin/sh\nROOTDIR=/usr/lib/erlang\n")
    (binaries / "erlexec").write_bytes(b"\x7fELF /usr/lib/erlang")
    sbin = root / "usr/lib/rabbitmq/lib/rabbitmq_server-4.0.5/sbin"
    sbin.mkdir(parents=True)
    (sbin / "rabbitmq-server").touch()
    return root


class TestCorrectErlangRoot:
    def test_names_the_final_folder_in_scripts_and_leaves_programs_alone(self, tmp_path: Path) -> None:
        root = unpacked(tmp_path / "partial")
        debian._correct_erlang_root(root, tmp_path / "final")
        script = (root / "usr/lib/erlang/bin/erl").read_text()
        assert script == f"#!/bin/sh\nROOTDIR={tmp_path}/final/usr/lib/erlang\n"
        assert (root / "usr/lib/erlang/bin/erlexec").read_bytes() == b"\x7fELF /usr/lib/erlang"


class TestServerScript:
    def test_is_found_whatever_the_version(self, tmp_path: Path) -> None:
        assert debian.server_script(unpacked(tmp_path)).parent.parent.name == "rabbitmq_server-4.0.5"


class TestEnvironment:
    def test_puts_the_unpacked_erlang_first_on_the_path(self, tmp_path: Path) -> None:
        first = debian.environment(unpacked(tmp_path))["PATH"].split(":")[0]
        assert first == str(tmp_path / "usr/lib/erlang/bin")

    def test_names_the_folders_of_libraries_that_the_system_lacks(self, tmp_path: Path) -> None:
        assert "LD_LIBRARY_PATH" not in debian.environment(unpacked(tmp_path))
        library = tmp_path / "usr/lib/x86_64-linux-gnu/libsystemd.so.0"
        library.parent.mkdir(parents=True)
        library.touch()
        assert debian.environment(tmp_path)["LD_LIBRARY_PATH"] == str(library.parent)


class TestUnpackedRabbitmq:
    def test_downloads_once_for_stacks_that_start_at_the_same_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        brought: list[Path] = []

        def bring(root: Path, *_: object) -> None:
            brought.append(root)
            time.sleep(0.2)
            unpacked(root)
            (root / ".complete").touch()

        monkeypatch.setattr(debian, "_bring", bring)
        stacks = [Processes(tmp_path / str(number)) for number in range(3)]
        with ThreadPoolExecutor(len(stacks)) as pool:
            found = list(pool.map(lambda one: debian.unpacked_rabbitmq(tmp_path, one, Progress(quiet=True)), stacks))
        assert brought == [tmp_path / "rabbitmq"]
        assert set(found) == set(brought)
