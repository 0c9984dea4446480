"""Follow the logs of a stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.commands.log_filter import Wanted
from local.commands.log_lines import PersonsReader, RawReader
from local.commands.logs import LogFollower, reader_for
from local.errors import LocalError
from local.settings import JSON_LOGS, TEXT_LOGS

Output = pytest.CaptureFixture[str]


def request_at(time: str, path: str) -> str:
    record = {"level": "INFO", "timestamp": f"2026-11-28T{time}+00:00", "service": "api", "message": "request"}
    return json.dumps({**record, "method": "GET", "route": path, "status": 200, "duration_ms": 1.2}) + "\n"


class TestLogFollower:
    def test_prints_only_what_comes_after_it_began(self, tmp_path: Path, capsys: Output) -> None:
        log = tmp_path / "bridge.log"
        log.write_text("old\n")
        follower = LogFollower(tmp_path, PersonsReader)
        follower.print_old()
        log.write_text("old\nnew\n")
        follower.print_new()
        (line,) = capsys.readouterr().out.splitlines()
        assert line.split() == ["bridge", "new"]

    def test_waits_for_the_end_of_a_line(self, tmp_path: Path, capsys: Output) -> None:
        follower = LogFollower(tmp_path, PersonsReader)
        (tmp_path / "relay.log").write_text("whole\nha")
        follower.print_new()
        assert capsys.readouterr().out.endswith("  whole\n")
        (tmp_path / "relay.log").write_text("whole\nhalf\n")
        follower.print_new()
        assert capsys.readouterr().out.endswith("  half\n")

    def test_begins_with_the_last_lines_of_all_files_together(self, tmp_path: Path, capsys: Output) -> None:
        (tmp_path / "ApiFunction.log").write_text(request_at("10:00:00.1", "/1") + request_at("10:00:00.3", "/3"))
        (tmp_path / "OtherFunction.log").write_text(request_at("10:00:00.2", "/2"))
        LogFollower(tmp_path, PersonsReader, lines_before=2).print_old()
        assert [line.split()[3] for line in capsys.readouterr().out.splitlines()] == ["/2", "/3"]

    def test_puts_the_lines_of_several_files_in_order(self, tmp_path: Path, capsys: Output) -> None:
        follower = LogFollower(tmp_path, PersonsReader)
        (tmp_path / "a.log").write_text(request_at("10:00:00.2", "/2"))
        (tmp_path / "b.log").write_text(request_at("10:00:00.1", "/1") + request_at("10:00:00.3", "/3"))
        follower.print_new()
        assert [line.split()[3] for line in capsys.readouterr().out.splitlines()] == ["/1", "/2", "/3"]

    def test_reads_a_file_again_that_has_become_shorter(self, tmp_path: Path, capsys: Output) -> None:
        (tmp_path / "relay.log").write_text("a long first run\n")
        follower = LogFollower(tmp_path, PersonsReader)
        (tmp_path / "relay.log").write_text("second\n")
        follower.print_new()
        assert capsys.readouterr().out.endswith("  second\n")

    @pytest.mark.parametrize("name", ["moto", "epmd", "supervisor"])
    def test_leaves_out_what_is_no_event_of_the_stack(self, name: str, tmp_path: Path, capsys: Output) -> None:
        follower = LogFollower(tmp_path, PersonsReader)
        (tmp_path / f"{name}.log").write_text("a request\n")
        follower.print_new()
        assert capsys.readouterr().out == ""


class TestWanted:
    PAYMENT = "01a2235d-a7f0-756a-9cb2-9d9e5408e00b"

    def write(self, folder: Path) -> None:
        """The request is logged before anything names its payment, and in another file."""
        request = json.loads(request_at("10:00:00.1", "/ours")) | {"correlation_id": "ours"}
        (folder / "ApiFunction.log").write_text(f"{json.dumps(request)}\n{request_at('10:00:00.2', '/theirs')}")
        settled = {"level": "INFO", "timestamp": "2026-11-28T10:00:01+00:00", "service": "consumer"}
        payments = [{"payment_id": self.PAYMENT, "correlation_id": "ours", "outcome": "succeeded"}]
        (folder / "ConsumerFunction.log").write_text(json.dumps({**settled, "payments": payments}) + "\n")
        (folder / "bridge.log").write_text("something else\n")

    def test_are_the_lines_of_a_payment_in_every_log(self, tmp_path: Path, capsys: Output) -> None:
        self.write(tmp_path)
        LogFollower(tmp_path, PersonsReader, lines_before=100, wanted=Wanted(payment_id=self.PAYMENT)).print_old()
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[1:4] for line in lines] == [["api", "GET", "/ours"], ["consumer", "payment", "succeeded"]]

    def test_are_the_lines_of_a_function(self, tmp_path: Path, capsys: Output) -> None:
        self.write(tmp_path)
        follower = LogFollower(tmp_path, PersonsReader, lines_before=100, wanted=Wanted("consumer"))
        follower.print_old()
        (tmp_path / "bridge.log").write_text("something else\nand more\n")
        follower.print_new()
        (line,) = capsys.readouterr().out.splitlines()
        assert line.split()[1] == "consumer"

    def test_must_be_of_a_function_that_has_a_log(self, tmp_path: Path) -> None:
        self.write(tmp_path)
        with pytest.raises(LocalError, match="choose api, bridge, consumer"):
            LogFollower(tmp_path, PersonsReader, wanted=Wanted("jobs"))


class TestReaderFor:
    def test_is_a_persons_reader_without_colour_where_the_output_is_no_terminal(self) -> None:
        (line,) = reader_for(TEXT_LOGS)("ApiFunction").read(request_at("10:00:00.1", "/1").strip())
        assert "\x1b" not in line.text

    @pytest.mark.parametrize(
        ("variables", "is_colourful"),
        [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    )
    def test_is_in_colour_on_a_terminal(
        self, variables: dict[str, str], is_colourful: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        (line,) = reader_for(TEXT_LOGS)("ApiFunction").read(request_at("10:00:00.1", "/1").strip())
        assert ("\x1b[" in line.text) is is_colourful

    def test_is_a_raw_reader_for_json(self) -> None:
        assert isinstance(reader_for(JSON_LOGS)("ApiFunction"), RawReader)
