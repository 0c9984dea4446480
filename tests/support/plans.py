"""What PostgreSQL does for a prepared statement: which indexes it reads, which partitions, and whether it sorts."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pg8000.core import CoreConnection

import paybridge
from paybridge.database.database import Statement

Node = dict[str, Any]

# Roles and rights are changed by a deployment. The archive reads a month once, and as a whole, and asks once what has
# not been read of it. Analytics close a month once, and the bridge drops it once.
WITHOUT_PLANS = frozenset({
    "paybridge.database.rights",
    "paybridge.secrets.store",
    "paybridge.analytics.store.closing",
    "paybridge.analytics.store.unread",
    "paybridge.bridge.store.sent_months",
    "paybridge.webhooks.store.ended_of_month",
    *(f"paybridge.archive.store.{name}" for name in ("lock", "months", "open_work", "partitions", "tables")),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One execution of a statement, by its plan for any parameters.

    A partition counts as its table, and its part of an index as that index. `read_whole` names the tables that are
    read without an index. `partitions` are the partitions of each table that were really visited, and `rows` the rows
    that were fetched from each table, before any filter.
    """

    indexes: Mapping[str, Counter[str]]
    read_whole: frozenset[str]
    sort_keys: tuple[tuple[str, ...], ...]
    partitions: Mapping[str, frozenset[str]]
    rows: Mapping[str, int]

    def reads(self, names: Mapping[str, str]) -> Counter[str]:
        """How often each index is read, by the name that `names` has for it; of partitions the one with the most."""
        most: Counter[str] = Counter()
        for counted in self.indexes.values():
            renamed: Counter[str] = Counter()
            for index, times in counted.items():
                renamed[names.get(index, index)] += times
            most |= renamed
        return most


def statements() -> dict[str, Statement]:
    """Every statement of the layer that has a plan, as `module.NAME`, wherever in its module it is kept.

    One that another module imports counts once. Modules that no request and no batch waits for are left out.
    """
    found: dict[Statement, str] = {}
    for module, names in _modules():
        found.update({statement: f"{module}.{path}" for path, statement in _statements_in(names)})
    return {name: one for one, name in found.items() if not one.sql.startswith(("LISTEN", "UNLISTEN"))}


def builders() -> frozenset[str]:
    """Every cached function of the layer that builds statements, as `module.name`."""
    return frozenset(
        f"{module}.{name}"
        for module, names in _modules()
        for name, value in names.items()
        if getattr(getattr(value, "__wrapped__", None), "__annotations__", {}).get("return") == Statement.__name__
    )


def _modules() -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules whose statements have a plan, by their names below the layer, with what they define."""
    for module in pkgutil.walk_packages(paybridge.__path__, f"{paybridge.__name__}."):
        if ".migrations" not in module.name and module.name not in WITHOUT_PLANS:
            yield module.name.removeprefix(f"{paybridge.__name__}."), vars(importlib.import_module(module.name))


def _statements_in(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Statement]]:
    """Statements that are bound to a name, or lie in a dictionary, list or tuple that is."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Statement):
            yield path, value
        elif not str(name).startswith("__") and isinstance(value, dict):
            yield from _statements_in(value, f"{path}.")
        elif isinstance(value, list | tuple):
            yield from _statements_in(dict(enumerate(value)), f"{path}.")


class Planner:
    """Runs prepared statements on a connection of a `Database`, with its settings, and takes back what they changed."""

    def __init__(self, connection: CoreConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count()
        self._parents = self._pairs("SELECT inhrelid, inhparent FROM pg_inherits")
        self._indexed = self._pairs("SELECT indexrelid, indrelid FROM pg_index")

    def plan(self, statement: Statement, parameters: dict[str, Any]) -> Plan:
        """The plan of the statement, executed with these parameters in a transaction that is rolled back."""
        return self._read(self.explain(statement, parameters))

    def explain(self, statement: Statement, parameters: dict[str, Any]) -> Node:
        """The outermost node of the executed plan."""
        return self.explained_later(statement, parameters)()

    def planned_later(self, statement: Statement, parameters: dict[str, Any]) -> Callable[[], Plan]:
        """Has the session make its plan now; the answer executes it, once, and tells it."""
        explain = self.explained_later(statement, parameters)
        return lambda: self._read(explain())

    def explained_later(self, statement: Statement, parameters: dict[str, Any]) -> Callable[[], Node]:
        """The same, as the outermost node."""
        run = self._connection.execute_simple
        name = f"explained_{next(self._numbers)}"
        values = statement.values(parameters)
        execute = f"EXECUTE {name} ({', '.join(map(_literal, values))})" if values else f"EXECUTE {name}"
        run(f"PREPARE {name} AS {statement.sql}")
        run(f"EXPLAIN {execute}")

        def explain() -> Node:
            run("BEGIN")
            try:
                rows = run(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {execute}").rows
            finally:
                run("ROLLBACK")
                run(f"DEALLOCATE {name}")
            (document,) = rows[0]
            plan: Node = (orjson.loads(document) if isinstance(document, str) else document)[0]["Plan"]
            return plan

        return explain

    def _read(self, plan: Node) -> Plan:
        indexes: dict[str, Counter[str]] = defaultdict(Counter)
        read_whole, sort_keys = set(), []
        partitions: dict[str, set[str]] = defaultdict(set)
        rows: Counter[str] = Counter()
        for node in _nodes(plan):
            relation = node.get("Relation Name")
            if index := node.get("Index Name"):
                indexes[self._indexed[index]][self._table(index)] += 1
            if node["Node Type"] == "Seq Scan":
                read_whole.add(self._table(node["Relation Name"]))
            if "Sort Key" in node and node["Node Type"] in {"Sort", "Incremental Sort"}:
                sort_keys.append(tuple(node["Sort Key"]))
            if relation and "Scan" in node["Node Type"] and node["Actual Loops"]:
                partitions[self._table(relation)].add(relation)
                rows[self._table(relation)] += _rows_fetched(node)
        visited = {table: frozenset(names) for table, names in partitions.items()}
        return Plan(indexes, frozenset(read_whole), tuple(sort_keys), visited, rows)

    def _pairs(self, query: str) -> dict[str, str]:
        """Names, which EXPLAIN gives without their schemas, by names."""
        named = f"""
            SELECT a.relname, b.relname FROM ({query}) AS pair (a, b)
            JOIN pg_class a ON a.oid = pair.a JOIN pg_class b ON b.oid = pair.b
        """  # noqa: S608 -- the queries are those above.
        return dict(self._connection.execute_simple(named).rows)

    def _table(self, name: str) -> str:
        return self._parents.get(name, name)


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _rows_fetched(scan: Node) -> int:
    per_loop: float = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    loops: int = scan["Actual Loops"]
    return round(per_loop * loops)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    text = f"\\x{value.hex()}" if isinstance(value, bytes) else str(value).replace("'", "''")
    return f"'{text}'"
