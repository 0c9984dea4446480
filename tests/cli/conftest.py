"""Commands as an operator types them, over a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from paybridge import cli, wiring
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True)
class Terminal:
    """Runs commands, and reads what they print."""

    database: Database
    output: pytest.CaptureFixture[str]

    def run(self, *arguments: object) -> str:
        """Run the command, which must succeed, and return what it prints."""
        assert cli.main([*map(str, arguments)], actor="a test") == 0
        return self.output.readouterr().out

    def read(self, *arguments: object) -> Any:
        """Run the command with --json and return what it prints."""
        return json.loads(self.run(*arguments, "--json"))

    def refused(self, *arguments: object, code: int = 1) -> str:
        """Run the command, which must be refused, and return why."""
        assert cli.main([*map(str, arguments)]) == code
        return self.output.readouterr().err


@pytest.fixture
def terminal(
    database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        yield Terminal(database, capsys)
