"""PerfTest is downloaded once, left out with a reason if it cannot run, and read after its warm-up."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rivals import perf_test

OUTPUT = """\
time 1.001 s, sent: 14318 msg/s, confirmed: 14318 msg/s, nacked: 0 msg/s
time 2.000 s, sent: 17232 msg/s, confirmed: 16698 msg/s, nacked: 0 msg/s
time 3.000 s, sent: 27283 msg/s, confirmed: 27235 msg/s, nacked: 0 msg/s
time 4.001 s, sent: 29204 msg/s, confirmed: 29242 msg/s, nacked: 0 msg/s
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set PATH to a folder for fake programs alone."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _program(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_without_java_it_is_left_out(tools: Path, tmp_path: Path) -> None:
    assert perf_test.fetch(tmp_path, print) == "PerfTest was left out: there is no Java."


def test_without_maven_it_is_left_out(tools: Path, tmp_path: Path) -> None:
    _program(tools, "java", "exit 0")
    assert perf_test.fetch(tmp_path, print) == "PerfTest was left out: there is no Maven to fetch it."


def test_when_maven_fails_it_is_left_out_and_nothing_stays(tools: Path, tmp_path: Path) -> None:
    _program(tools, "java", "exit 0")
    _program(tools, "mvn", "exit 1")
    assert perf_test.fetch(tmp_path, print) == "PerfTest was left out: Maven could not fetch it."
    assert not (tmp_path / f"perf-test-{perf_test.VERSION}").exists()


def test_it_is_fetched_once(tools: Path, tmp_path: Path) -> None:
    _program(tools, "java", "exit 0")
    _program(tools, "mvn", 'for last; do :; done; /bin/mkdir "${last#-DoutputDirectory=}"')
    said: list[str] = []
    first = perf_test.fetch(tmp_path, said.append)
    assert first == tmp_path / f"perf-test-{perf_test.VERSION}"
    assert perf_test.fetch(tmp_path, said.append) == first
    assert len(said) == 1


def test_the_rate_is_that_of_the_warm_seconds(tools: Path, tmp_path: Path) -> None:
    _program(tools, "java", f"echo '{OUTPUT}'")
    run = perf_test.publisher(tmp_path, "amqp://127.0.0.1", "payments", "payments.new", 900)
    assert run() == (27235 + 29242) / 2


def test_a_run_without_output_fails(tools: Path, tmp_path: Path) -> None:
    _program(tools, "java", "echo no broker")
    with pytest.raises(RuntimeError, match="no broker"):
        perf_test.publisher(tmp_path, "amqp://127.0.0.1", "payments", "payments.new", 900)()


def test_the_version_is_the_one_that_maven_fetches() -> None:
    assert f"<version>{perf_test.VERSION}</version>" in perf_test.POM.read_text()
