"""Following the logs of a stack."""

from pathlib import Path

import pytest

from local.commands.logs import LogFollower


class TestLogFollower:
    def test_prints_only_what_comes_after_it_began(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        log = tmp_path / "bridge.log"
        log.write_text("old\n")
        follower = LogFollower(tmp_path)
        log.write_text("old\nnew\n")
        follower.print_new()
        assert [line.split(" | ") for line in capsys.readouterr().out.splitlines()] == [["bridge            ", "new"]]

    def test_waits_for_the_end_of_a_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        follower = LogFollower(tmp_path)
        (tmp_path / "relay.log").write_text("whole\nha")
        follower.print_new()
        assert capsys.readouterr().out.endswith("| whole\n")
        (tmp_path / "relay.log").write_text("whole\nhalf\n")
        follower.print_new()
        assert capsys.readouterr().out.endswith("| half\n")

    def test_begins_the_given_lines_before_the_end(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "relay.log").write_text("1\n2\n3\n")
        LogFollower(tmp_path, lines_before=2).print_new()
        assert [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines()] == ["2", "3"]

    def test_reads_a_file_again_that_has_become_shorter(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "relay.log").write_text("a long first run\n")
        follower = LogFollower(tmp_path)
        (tmp_path / "relay.log").write_text("second\n")
        follower.print_new()
        assert capsys.readouterr().out.endswith("| second\n")
