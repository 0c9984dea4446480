"""One SQL statement with named parameters."""

from __future__ import annotations

from typing import Any

from pg8000.native import to_statement


class Statement:
    """One SQL statement with `:named` parameters, converted once and prepared once per connection.

    Cast every parameter in the SQL (`:id::uuid`), so that the server need not guess its type.
    """

    __slots__ = ("_names", "sql")

    def __init__(self, sql: str) -> None:
        self.sql, values_of = to_statement(sql)
        # pg8000 looks up the value of every placeholder by its name: given names for values, it returns their order.
        self._names: tuple[str, ...] = values_of(_Names())

    def values(self, parameters: dict[str, Any]) -> list[Any]:
        """Return the parameters in the order of their placeholders; raise KeyError for a missing one."""
        return [parameters[name] for name in self._names]


class _Names(dict[str, str]):
    """Maps every name to the same name."""

    def __missing__(self, name: str) -> str:
        return name
