"""docs/operators/cli.md names every command, and none that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperGroup
from typer.main import get_command

from local.commands import operator
from paybridge import cli
from tests.support.template import ROOT

PAGE = ROOT / "docs/operators/cli.md"


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its name."""
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from leaves(child, (*path, name))
    else:
        yield " ".join(path), command


def commands() -> dict[str, Any]:
    app = cli.make_app()
    operator.add_local_commands(app)
    return dict(leaves(get_command(app)))


def documented() -> set[str]:
    """The commands in the first column of the table."""
    rows = re.findall(r"^\| (`.+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_page_names_every_command() -> None:
    assert documented() == set(commands())


def test_every_command_prints_json_to_programs_and_explains_itself() -> None:
    for name, command in commands().items():
        options = {option for parameter in command.params for option in parameter.opts}
        # A worker prints its log.
        assert "--json" in options or name == "worker", name
        assert command.help, name
