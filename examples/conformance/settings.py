"""The settings of a run: which requests to send, and what to look for in the answers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .rules import RULE_IDS

DEFAULTS = Path(__file__).with_name("paybridge.toml")
REQUESTS_MAX = 200


class Unusable(Exception):
    """The run cannot begin or go on: the text says why, and what to change."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is sent, and where. The texts may hold `{key}` and `{marker}`.

    `members` are those of a valid request, which is JSON or a form. `changed` makes it another valid request, `invalid`
    one that fails validation, `slow` one that takes long. `id_path` leads to the id of the resource in the answer.
    `list_path` lists the resources of a marker, in the member `items_path`.
    """

    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    members: Mapping[str, Any]
    is_form: bool
    changed: Mapping[str, Any]
    invalid: Mapping[str, Any]
    slow: Mapping[str, Any]
    id_path: str
    list_path: str
    items_path: str
    key_required: bool
    malformed_keys: tuple[str, ...]
    takes_escapes: bool
    other_key: str
    documentation_url: str
    requests: int
    timeout_seconds: float
    slow_after_seconds: float
    skip: Mapping[str, str] = field(default_factory=dict)


def load(path: Path) -> Settings:
    """Return the settings in a TOML or JSON file. Raises Unusable."""
    try:
        text = path.read_text(encoding="utf-8")
        decoded = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Unusable(f"The settings {path} cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        raise Unusable(f"The settings {path} are not {_kind(path)}: {error}.") from None
    try:
        return _parse(decoded)
    except Unusable as error:
        raise Unusable(f"The settings {path} are wrong: {error}") from None


def _kind(path: Path) -> str:
    return "JSON" if path.suffix == ".json" else "TOML"


class _Table:
    """One table of the file, whose members are taken one by one, so that a misspelled one is left over."""

    def __init__(self, name: str, members: Any) -> None:
        if not isinstance(members, dict):
            raise Unusable(f"`{name}` must be a table.")
        self._name = name
        self._members = dict(members)

    def take(self, member: str, kind: type, default: Any = None) -> Any:
        """Return a member. It is required unless it has a default."""
        value = self._members.pop(member, default)
        if value is None:
            raise Unusable(f"`{self._path(member)}` is missing.")
        # TOML's true is an int in Python.
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise Unusable(f"`{self._path(member)}` must be {_KINDS[kind]}.")
        return value

    def texts(self, member: str) -> dict[str, str]:
        """Return a table of texts, empty if it is missing."""
        table = self.take(member, dict, {})
        if not all(isinstance(value, str) for value in table.values()):
            raise Unusable(f"`{self._path(member)}` must be a table of texts.")
        return dict(table)

    def end(self) -> None:
        """Raise Unusable if a member was not taken."""
        for member in self._members:
            raise Unusable(f"`{self._path(member)}` is unknown.")

    def _path(self, member: str) -> str:
        return f"{self._name}.{member}" if self._name else member


_KINDS: Mapping[type, str] = {
    str: "a text",
    dict: "a table",
    list: "a list",
    bool: "true or false",
    int: "a whole number",
}


def _parse(decoded: Any) -> Settings:
    root = _Table("", decoded)
    request = _Table("request", root.take("request", dict))
    values: dict[str, Any] = {"name": root.take("name", str, "the API"), "skip": root.texts("skip")}
    for name, parse in _TABLES.items():
        table = request if name == "request" else _Table(name, root.take(name, dict, {}))
        values |= parse(table)
        table.end()
    root.end()
    for rule_id in values["skip"]:
        if rule_id not in RULE_IDS:
            raise Unusable(f"`skip.{rule_id}` names no rule.")
    return Settings(**values)


def _request(table: _Table) -> dict[str, Any]:
    json_members, form = table.take("json", dict, {}), table.texts("form")
    if bool(json_members) == bool(form):
        raise Unusable("`request` needs either `json` or `form`: the members of a valid request.")
    path = table.take("path", str)
    if not path.startswith("/"):
        raise Unusable("`request.path` must begin with a slash.")
    members, changed = json_members or form, table.take("changed", dict)
    if all(members.get(name) == value for name, value in changed.items()):
        raise Unusable("`request.changed` must change a member of the request.")
    return {
        "method": table.take("method", str, "POST"),
        "path": path,
        "headers": _headers(table),
        "members": members,
        "is_form": bool(form),
        "changed": changed,
        "invalid": table.take("invalid", dict, {}),
        "slow": table.take("slow", dict, {}),
    }


def _headers(table: _Table) -> dict[str, str]:
    headers = table.texts("headers")
    if not all(text.isascii() and text.isprintable() for header in headers.items() for text in header):
        raise Unusable("`request.headers` must be printable ASCII.")
    return headers


def _resource(table: _Table) -> dict[str, Any]:
    return {
        "id_path": table.take("id", str, "id"),
        "list_path": table.take("list", str, ""),
        "items_path": table.take("items", str, ""),
    }


def _keys(table: _Table) -> dict[str, Any]:
    malformed = table.take("malformed", list, ['"unterminated', '""'])
    if not malformed or not all(isinstance(key, str) and key.isascii() and key.isprintable() for key in malformed):
        raise Unusable("`keys.malformed` must be a list of texts of printable ASCII.")
    return {
        "key_required": table.take("required", bool, True),
        "malformed_keys": tuple(malformed),
        "takes_escapes": table.take("escapes", bool, True),
    }


def _callers(table: _Table) -> dict[str, Any]:
    return {"other_key": table.take("other_key", str, "")}


def _documentation(table: _Table) -> dict[str, Any]:
    return {"documentation_url": table.take("url", str, "")}


def _run(table: _Table) -> dict[str, Any]:
    requests = table.take("requests", int, 20)
    if not 2 <= requests <= REQUESTS_MAX:
        raise Unusable(f"`run.requests` must be 2 to {REQUESTS_MAX}.")
    milliseconds = table.take("slow_after_milliseconds", int, 500)
    timeout_seconds = table.take("timeout_seconds", int, 30)
    if milliseconds < 1 or timeout_seconds < 1:
        raise Unusable("the times in `run` must be above zero.")
    return {"requests": requests, "timeout_seconds": timeout_seconds, "slow_after_seconds": milliseconds / 1000}


_TABLES: Mapping[str, Callable[[_Table], dict[str, Any]]] = {
    "request": _request,
    "resource": _resource,
    "keys": _keys,
    "callers": _callers,
    "documentation": _documentation,
    "run": _run,
}
