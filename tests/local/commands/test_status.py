"""What `make status` says."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from local.clock.offset import FILE_NAME, Offset
from local.commands import figures, status
from local.commands.figures import FiguresUnavailable
from local.commands.status import PartStatus
from local.servers import postgres
from local.servers.processes import write_pid_file
from local.settings import LocalSettings
from local.stack.restarts import PartRecord, PartState, write_records
from local.stack.stack import Stack
from local.testkit.live import eventually
from local.testkit.local_servers import running_gateway
from local.testkit.servers import address_of
from paybridge.database.database import Database, Statement

Output = pytest.CaptureFixture[str]


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    """A state folder whose gateway answers, and whose other servers do not."""
    with running_gateway(tmp_path / "charges.jsonl") as url:
        port = int(url.rpartition(":")[2])
        silent = {"sink_port": 1, "postgres_port": 2, "management_port": 3, "amqp_port": 4}
        yield replace(LocalSettings(), state_dir=tmp_path, gateway_port=port, **silent)


def shown(settings: LocalSettings, capsys: Output) -> dict[str, list[str]]:
    """Return the words of each line of the table, by the first."""
    status.show(settings)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    return {words[0]: words[1:] for words in lines}


def dead_letters(stack: Stack) -> int:
    """Return how many messages are dead letters now: other tests of the session leave some."""
    with closing(Database(address_of(stack.urls.postgres))) as database:
        [[count]] = database.run(Statement("SELECT count(*) FROM dead_letters WHERE state = 'dead'"))
    return int(count)


class TestShow:
    def test_has_a_line_for_each_part_with_its_health(self, settings: LocalSettings, capsys: Output) -> None:
        for name in ("gateway", "sink", "postgres", "rabbitmq", "worker-relay"):
            write_pid_file(settings.state_dir, name, psutil.Process())
        table = shown(settings, capsys)
        assert table["gateway"][:6] == ["simulated", "gateway", "port", str(settings.gateway_port), "healthy", "since"]
        for name in ("sink", "postgres", "rabbitmq"):
            assert "does not answer since" in " ".join(table[name])
        assert table["worker-relay"][:3] == ["worker", "healthy", "since"]
        assert " ".join(table["Database"]).startswith("PostgreSQL does not answer: ")
        assert " ".join(table["Queues"]).startswith("RabbitMQ does not answer: ")

    @pytest.mark.parametrize(
        ("ahead", "words"),
        [(timedelta(hours=75), "clock 75 h ahead of this machine"), (timedelta(), "")],
        ids=["moved", "not"],
    )
    def test_says_how_far_the_test_clock_is(
        self, settings: LocalSettings, capsys: Output, ahead: timedelta, words: str
    ) -> None:
        write_pid_file(settings.state_dir, "gateway", psutil.Process())
        Offset(settings.state_dir / FILE_NAME).write(ahead)
        assert " ".join(shown(settings, capsys).get("Test", [])) == words

    def test_tells_the_past_of_a_part_and_shows_the_parts_that_are_down(
        self, settings: LocalSettings, capsys: Output, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time()
        monkeypatch.setattr(status, "time", SimpleNamespace(time=lambda: now))
        write_pid_file(settings.state_dir, "gateway", psutil.Process())
        ended_at = datetime(2026, 11, 1, 15, 51, tzinfo=UTC).timestamp()
        records = {
            "gateway": PartRecord(PartState.UP, 2, "signal SIGKILL", ended_at),
            "rabbitmq": PartRecord(PartState.CRASH_LOOP, 7, "exit status 1: no disk", ended_at),
            "sink": PartRecord(PartState.OUTAGE, until=now + 60),
        }
        write_records(settings.state_dir, records)
        table = shown(settings, capsys)
        assert re.search(
            r"healthy since .* restarted 2 times, ended at .* by signal SIGKILL", " ".join(table["gateway"])
        )
        assert "crash loop restarted 7 times" in " ".join(table["rabbitmq"])
        assert " ".join(table["rabbitmq"]).endswith("by exit status 1: no disk")
        assert " ".join(table["sink"]).endswith("outage, 60 s left")

    def test_shows_a_server_of_ones_own_at_its_address(self, settings: LocalSettings, capsys: Output) -> None:
        own = replace(
            settings,
            rabbitmq_url="amqp://me:secret@127.0.0.1:5/",
            rabbitmq_management_url="http://me:secret@127.0.0.1:6",
        )
        own.record()
        write_pid_file(own.state_dir, "gateway", psutil.Process())
        table = shown(own, capsys)
        assert table["rabbitmq"] == ["RabbitMQ", "127.0.0.1:5", "does", "not", "answer"]

    def test_has_the_ports_of_the_running_stack(self, settings: LocalSettings, capsys: Output) -> None:
        settings.record()
        write_pid_file(settings.state_dir, "gateway", psutil.Process())
        table = shown(replace(settings, gateway_port=7), capsys)
        assert table["gateway"][3:5] == [str(settings.gateway_port), "healthy"]

    def test_says_that_nothing_watches_what_a_killed_supervisor_left(
        self, settings: LocalSettings, capsys: Output
    ) -> None:
        write_pid_file(settings.state_dir, "gateway", psutil.Process())
        status.show(settings)
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == "The process that watches these parts is gone: `make down` ends them."

    def test_shows_what_waits_in_a_whole_stack(self, stack: Stack, capsys: Output) -> None:
        parts = {"bridge", "epmd", "gateway", "moto", "postgres", "rabbitmq", "sink"}

        def look() -> dict[str, list[str]] | None:
            # Each is given five seconds to answer, which a busy machine may need more than once.
            found = shown(stack.settings, capsys)
            return found if {name for name, words in found.items() if "healthy" in words} == parts else None

        table = eventually(look, "all parts healthy")
        assert {"api", "consumer", "relay", "webhooks"} <= set(table["Functions"])
        assert table["Payments"][1] == "unsettled"
        assert table["Outbox"][1].startswith("due")
        assert table["Dead"] == ["letters", str(dead_letters(stack))]
        assert table["Circuit"] == ["closed"]
        assert {"payments.new", "payments.dead", "webhooks", "webhooks.retry"} <= set(table["Queues"])

    def test_shows_open_circuits_and_what_the_gateway_slowed_down(self, stack: Stack, capsys: Output) -> None:
        merchant = "merchant/01a2235d-a7f0-756a-9cb2-9d9e5408e00b"
        with closing(postgres.connect(stack.urls.postgres)) as connection:
            connection.run(
                "INSERT INTO circuits (name, open_until) VALUES (:name, now() + interval '1 hour')", name=merchant
            )
            connection.run(
                "INSERT INTO circuits (name, calls_per_second, next_call_at, pace_ends_at) "
                "VALUES (:name, 2.5, now(), now() + interval '1 hour')",
                name=f"{merchant}/card",
            )
            try:
                words = " ".join(shown(stack.settings, capsys)["Circuit"])
            finally:
                connection.run("DELETE FROM circuits WHERE name LIKE :names", names=f"{merchant}%")
        assert re.fullmatch(
            rf"{merchant} open until [\d: A-Za-z]+, {merchant}/card slowed to 2\.5 calls a second", words
        )


class TestNothingRuns:
    def test_says_why(self, settings: LocalSettings, capsys: Output) -> None:
        settings.logs_dir.mkdir(parents=True)
        errors = settings.logs_dir / "errors.log"
        errors.write_text("ministack ended unexpectedly. The end of ministack.log: \n  the last line\n")
        status.show(settings)
        said = capsys.readouterr().out
        assert re.match(r"Nothing is running\. The last stack stopped at \d\d:\d\d: ministack ended", said)
        assert said.endswith(f": ministack ended unexpectedly. See {errors}.\n")

    def test_names_the_day_unless_it_is_today(self, settings: LocalSettings, capsys: Output) -> None:
        stopped = settings.state_dir / "stopped"
        stopped.touch()
        status.show(settings)
        assert re.fullmatch(
            r"Nothing is running\. The last stack was stopped at \d\d:\d\d\.\n", capsys.readouterr().out
        )
        long_ago = datetime(2026, 3, 5, 12, tzinfo=UTC).timestamp()
        os.utime(stopped, (long_ago, long_ago))
        status.show(settings)
        assert "The last stack was stopped on 05 Mar at " in capsys.readouterr().out

    def test_names_the_error_of_a_traceback(self, settings: LocalSettings, capsys: Output) -> None:
        settings.logs_dir.mkdir(parents=True)
        errors = settings.logs_dir / "errors.log"
        errors.write_text('Traceback (most recent call last):\n  File "x.py", line 1\nOSError: disk full\n')
        status.show(settings)
        assert capsys.readouterr().out.endswith(f": OSError: disk full. See {errors}.\n")


class TestPartStatus:
    def test_says_once_of_a_part_that_was_restarted_once(self) -> None:
        record = PartRecord(PartState.UP, 1, "exit status 3", time.time())
        assert (
            "restarted once, ended at " in PartStatus("sink", "webhook sink", "port 1", "healthy", None, record).line()
        )

    def test_the_columns_are_aligned_whatever_the_name(self) -> None:
        lines = [
            PartStatus(name, "a worker", "", "healthy").line() for name in ("sink", "moto", "worker-webhooks-retry-2")
        ]
        assert len({line.index("a worker") for line in lines}) == 1


class TestFigures:
    def test_are_unavailable_with_a_reason_without_servers(self, settings: LocalSettings) -> None:
        with pytest.raises(FiguresUnavailable, match=r"^Connection refused$"):
            figures.database_figures(settings)
        with pytest.raises(FiguresUnavailable, match="refused"):
            figures.queue_depths(settings)

    def test_name_what_the_database_says(self, stack: Stack) -> None:
        own = replace(stack.settings, postgres_url=f"{stack.urls.postgres.rpartition('/')[0]}/missing")
        with pytest.raises(FiguresUnavailable, match=r'^database "missing" does not exist$'):
            figures.database_figures(own)

    def test_count_what_waits_in_the_database(self, stack: Stack) -> None:
        found = figures.database_figures(stack.settings)
        assert (found.dead_letters, found.open_circuits, found.paces) == (dead_letters(stack), (), ())
        assert found.outbox_due >= 0
