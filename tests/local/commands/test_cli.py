"""How the commands of `python -m local` end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.commands import cli
from local.errors import LocalError
from local.settings import LocalSettings

Output = pytest.CaptureFixture[str]


class FakeStack:
    """A stack that starts at once and records that it was stopped."""

    def __init__(self, settings: object) -> None:
        self.settings = settings
        self.processes = SimpleNamespace(children=["one"])
        self.stopped = False

    def start(self) -> None:
        return

    def stop(self) -> None:
        self.stopped = True

    def watch(self, _seconds: float) -> None:
        return


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[FakeStack]]:
    """The stacks that the commands make, in a folder of this test, without touching the signals of pytest."""
    made: list[FakeStack] = []

    def make(settings: object) -> FakeStack:
        made.append(FakeStack(settings))
        return made[-1]

    monkeypatch.setenv("PAYBRIDGE_LOCAL_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(cli, "Stack", make)
    monkeypatch.setattr(cli, "sample_payment", lambda *_, **__: None)
    yield made
    assert [stack.stopped for stack in made] == [True]


def ending_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli.LogFollower, "follow", follow)


class TestRun:
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), cli.Terminated()])
    def test_ends_well_with_ctrl_c_and_with_make_down(
        self, error: BaseException, stacks: list[FakeStack], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ending_with(error, monkeypatch)
        assert cli.main(["run"]) == 0
        assert stacks

    def test_ends_with_a_sentence_when_a_server_died(
        self, stacks: list[FakeStack], monkeypatch: pytest.MonkeyPatch, capsys: Output
    ) -> None:
        ending_with(LocalError("rabbitmq ended unexpectedly."), monkeypatch)
        assert cli.main(["run"]) == 1
        assert capsys.readouterr().err == "rabbitmq ended unexpectedly.\n"
        assert stacks
        # A later look finds the reason.
        assert cli.main(["status"]) == 0
        assert ": rabbitmq ended unexpectedly. See " in capsys.readouterr().out


class TestAddresses:
    @pytest.mark.parametrize("container_host", ["", "172.17.0.1"])
    def test_name_the_webhook_url_that_containers_reach(
        self,
        container_host: str,
        stacks: list[FakeStack],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: Output,
    ) -> None:
        LocalSettings(state_dir=tmp_path, container_host=container_host).record()
        ending_with(KeyboardInterrupt(), monkeypatch)
        assert cli.main(["run"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("webhook_url")]
        expected = "webhook_url http://172.17.0.1:8091/ok (the sink, as the functions' containers reach it)"
        assert lines == [expected] * bool(container_host)
