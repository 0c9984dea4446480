"""The rooms of the offline stack: imports run downwards and in no circle, and each room says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support.template import ROOT

LOCAL = ROOT / "local"
# From the top down. Rooms of one line do not know each other.
FLOORS = (
    {"testkit", "commands"},
    {"stack"},
    {"bridge"},
    {"lambda_host", "gateway", "sink"},
    {"clock"},
    {"servers"},
    {"http"},
    {"settings"},
    {"errors"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# It starts the commands, and nothing imports it.
ENTRY = "__main__"

Arrow = tuple[str, str]


def sources() -> dict[str, str]:
    """The source of every module, by its name with dots."""
    found = {}
    for path in sorted(LOCAL.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def arrows(modules: Mapping[str, str]) -> set[Arrow]:
    """(importer, imported) of every import between the modules, also of one under TYPE_CHECKING or in a function."""
    found = set()
    for name, source in modules.items():
        for node in ast.walk(ast.parse(source)):
            for imported in _imported(node):
                target = imported if imported in modules else imported.rpartition(".")[0]
                if target in modules and target != name:
                    found.add((name, target))
    return found


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def room_of(module: str) -> str:
    return module.split(".")[1]


def climbs(found: Iterable[Arrow]) -> list[Arrow]:
    """The imports that run upwards, or from one room to another of the same line."""
    between = [arrow for arrow in found if room_of(arrow[0]) not in {room_of(arrow[1]), ENTRY}]
    return sorted(arrow for arrow in between if FLOOR_OF[room_of(arrow[1])] <= FLOOR_OF[room_of(arrow[0])])


def circle(found: Iterable[Arrow]) -> list[str]:
    """The modules of an import circle, if there is one."""
    graph: dict[str, set[str]] = {}
    for importer, imported in found:
        graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_its_floor() -> None:
    rooms = {room_of(module) for module in sources() if "." in module}
    assert rooms - {ENTRY} == set(FLOOR_OF)


def test_imports_between_rooms_run_downwards() -> None:
    assert climbs(arrows(sources())) == []


def test_no_modules_import_each_other() -> None:
    assert circle(arrows(sources())) == []


@pytest.mark.parametrize("room", sorted(path.parent.name for path in LOCAL.glob("*/__init__.py")))
def test_every_room_says_in_a_line_what_it_is(room: str) -> None:
    text = ast.get_docstring(ast.parse((LOCAL / room / "__init__.py").read_text(encoding="utf-8")))
    assert text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("local.servers.moto", "from local.stack import seed"),
        ("local.gateway.gateway", "from local.sink.server import SinkServer"),
        ("local.lambda_host.pool", "def f():\n    import local.bridge.http"),
    ],
)
def test_a_planted_climb_is_found(module: str, line: str) -> None:
    modules = sources()
    modules[module] += f"\n{line}\n"
    assert [arrow[0] for arrow in climbs(arrows(modules))] == [module]


def test_a_planted_circle_is_found() -> None:
    modules = sources()
    modules["local.lambda_host.server"] += "\nif TYPE_CHECKING:\n    from local.lambda_host.host import LambdaHost\n"
    assert {"local.lambda_host.server", "local.lambda_host.host"} <= set(circle(arrows(modules)))
