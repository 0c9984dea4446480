"""`paybridge dead-letters` as an operator types it, over a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from paybridge import cli, wiring
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from tests.support.dead_letters import record_dead, rows

pytestmark = pytest.mark.integration

Output = pytest.CaptureFixture[str]


@pytest.fixture
def services(database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadLetterServices]:
    with closing(Database(database_address)) as database:
        database.run(Statement("TRUNCATE dead_letters, dead_letter_redrives, dead_letter_actions"))
        monkeypatch.setattr(wiring, "database", lambda: database)
        yield DeadLetterServices(database, SystemClock(), Uuid7Ids())


def run(capsys: Output, *arguments: object) -> str:
    """Run the command, which must succeed, and return what it prints."""
    assert cli.main(["dead-letters", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def read(capsys: Output, *arguments: object) -> Any:
    return json.loads(run(capsys, *arguments, "--json"))


class TestList:
    def test_shows_one_line_for_each_and_how_to_go_on(self, services: DeadLetterServices, capsys: Output) -> None:
        letters = [record_dead(services, reason=f"reason {number}") for number in range(3)]
        _, first, second, more = run(capsys, "list", "--limit", 2).splitlines()
        assert str(letters[2].id) in first
        assert first.split()[-3:] == ["webhooks", "reason", "2"]
        assert str(letters[1].id) in second
        cursor = more.rpartition(" ")[2]
        assert str(letters[0].id) in run(capsys, "list", "--limit", 2, "--cursor", cursor)

    def test_filters(self, services: DeadLetterServices, capsys: Output) -> None:
        letter = record_dead(services, queue="payments.new")
        record_dead(services, queue="webhooks")
        for option, value in (("--queue", "payments.new"), ("--fingerprint", letter.death.fingerprint)):
            (item,) = read(capsys, "list", option, value)["data"]
            assert item["dead_letter_id"] == str(letter.id)
        assert run(capsys, "list", "--state", "redriven") == "There are no such dead letters.\n"

    def test_reasons_stand_below_each_other(self, services: DeadLetterServices, capsys: Output) -> None:
        record_dead(services, queue="webhooks", reason="because")
        record_dead(services, queue="payments.new", reason="because")
        for action in ("list", "groups"):
            names, first, second = run(capsys, action).splitlines()
            assert names.index("REASON") == first.index("because") == second.index("because")


class TestGroups:
    def test_counts_equal_faults(self, services: DeadLetterServices, capsys: Output) -> None:
        for number in range(3):
            letter = record_dead(services, reason=f"reason {number}")
        _, line = run(capsys, "groups", "--state", "dead").splitlines()
        assert line.split()[:2] == [letter.death.fingerprint, "3"]
        assert line.split()[3] == str(letter.id), "the example that `show` takes"
        assert read(capsys, "groups")["data"][0]["count"] == 3


class TestShow:
    def test_shows_body_and_headers(self, services: DeadLetterServices, capsys: Output) -> None:
        letter = record_dead(services, body=b"the body", headers={"h": 1})
        shown = run(capsys, "show", letter.id)
        assert shown.endswith("body (utf-8):\nthe body\n")
        assert '"h": 1' in shown
        assert read(capsys, "show", letter.id)["body"] == "the body"

    def test_no_control_character_of_a_sender_reaches_the_terminal(
        self, services: DeadLetterServices, capsys: Output
    ) -> None:
        hostile = "\x1b]0;owned\x07\x9b2J\r"
        letter = record_dead(services, body=hostile.encode(), reason=hostile, headers={"h": hostile}, type=hostile)
        for arguments in (["list"], ["groups"], ["show", letter.id], ["show", letter.id, "--json"]):
            printed = run(capsys, *arguments)
            assert "owned" in printed
            assert not {"\x1b", "\x07", "\x9b", "\r"} & set(printed)

    def test_an_unknown_one_is_an_error(self, services: DeadLetterServices, capsys: Output) -> None:
        assert cli.main(["dead-letters", "show", str(uuid4())]) == 1
        assert capsys.readouterr().err.startswith("There is no dead letter")


class TestRedrive:
    def test_a_dry_run_changes_nothing(self, services: DeadLetterServices, capsys: Output) -> None:
        record_dead(services)
        assert run(capsys, "redrive", "--queue", "webhooks", "--rate", 5, "--dry-run").splitlines() == [
            "A redrive would publish 1 message in 0 s, at 5 a second.",
            "        1  webhooks  because",
        ]
        assert rows(services.database)[0]["state"] == "dead"

    def test_redrives_once(self, services: DeadLetterServices, capsys: Output) -> None:
        letter = record_dead(services)
        assert read(capsys, "redrive", "--id", letter.id)["matched"] == 1
        assert read(capsys, "redrive", "--fingerprint", letter.death.fingerprint)["matched"] == 0
        assert rows(services.database)[0]["state"] == "redriving"

    def test_says_that_there_is_nothing_to_redrive(self, services: DeadLetterServices, capsys: Output) -> None:
        record_dead(services, queue="payments.dead")
        expected = [
            "There is nothing to redrive: only a dead letter in state dead can be.",
            "Not redrivable, because not from a queue of ours: 1. Discard what is left.",
        ]
        assert run(capsys, "redrive", "--queue", "payments.dead", "--dry-run").splitlines() == expected
        assert run(capsys, "redrive", "--queue", "payments.dead").splitlines() == expected
        assert run(capsys, "redrive", "--queue", "webhooks").splitlines() == expected[:1]


class TestDiscard:
    def test_records_the_user(self, services: DeadLetterServices, capsys: Output) -> None:
        letter = record_dead(services)
        said = run(capsys, "discard", letter.id, "--note", "sent by hand")
        assert said.startswith("Discarded by paybridge command")
        assert rows(services.database)[0]["note"] == "sent by hand"

    def test_what_is_being_redriven_is_an_error(self, services: DeadLetterServices, capsys: Output) -> None:
        letter = record_dead(services)
        run(capsys, "redrive", "--id", letter.id)
        assert cli.main(["dead-letters", "discard", str(letter.id), "--note", "no"]) == 1
        assert capsys.readouterr().err.startswith("The dead letter is redriving.")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["show", "42"], "'42' is not the id of a dead letter"),
        (["list", "--fingerprint", "x"], "'x' is not the fingerprint"),
        (["list", "--limit", "0"], "greater than or equal to 1"),
        (["list", "--state", "buried"], "buried"),
        (["redrive"], "give one of --id, --fingerprint and --queue"),
        (["redrive", "--queue", "a", "--fingerprint", "0" * 16], "give one of --id, --fingerprint and --queue"),
        (["redrive", "--queue", "a", "--rate", "nan"], "'nan' is not a number from 0.1 to 1000"),
        (["redrive", "--queue", "a", "--rate", "1e-300"], "'1e-300' is not a number from 0.1 to 1000"),
        (["discard", str(uuid4())], "--note"),
        (["discard", str(uuid4()), "--note", " "], "a note has 1 to 1,000 characters"),
    ],
)
def test_wrong_arguments_are_explained(arguments: list[str], named: str, capsys: Output) -> None:
    assert cli.main(["dead-letters", *arguments]) == cli.UNUSABLE
    assert named.lower() in capsys.readouterr().err.lower()
