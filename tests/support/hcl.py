"""Terraform roots and modules as data, read without Terraform and without any provider."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

_LOCAL = re.compile(r"\blocal\.(\w+)")
_QUOTED = re.compile(r'"([^"$\\]+)"')


@dataclass(frozen=True, slots=True)
class Root:
    """The blocks of one folder of `.tf` files; expressions are texts like `${local.queues}`, literals are bare."""

    locals: dict[str, Any] = field(default_factory=dict)
    # By type, then by name.
    resources: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    modules: dict[str, dict[str, Any]] = field(default_factory=dict)

    def reach_of(self, value: Any) -> str:
        """The text of an expression with that of every local value it refers to, directly or through others."""
        texts, seen, open_ends = [str(value)], set(), [str(value)]
        while open_ends:
            for name in _LOCAL.findall(open_ends.pop()):
                if name not in seen and name in self.locals:
                    seen.add(name)
                    texts.append(str(self.locals[name]))
                    open_ends.append(texts[-1])
        return "\n".join(texts)


def texts_of(folder: Path) -> dict[str, str]:
    """The `.tf` files of a folder, by name."""
    return {path.name: path.read_text() for path in sorted(folder.glob("*.tf"))}


def read(texts: Mapping[str, str]) -> Root:
    """The blocks of these files; raises hcl2's error for what is no HCL."""
    root = Root()
    for text in texts.values():
        blocks = _parsed(text)
        for body in blocks.get("locals", []):
            root.locals.update(_plain(body))
        for block in blocks.get("resource", []):
            for kind, named in _plain(block).items():
                root.resources.setdefault(kind, {}).update(named)
        for block in blocks.get("variable", []):
            root.variables.update(_plain(block))
        for block in blocks.get("output", []):
            root.outputs.update(_plain(block))
        for block in blocks.get("module", []):
            root.modules.update(_plain(block))
    return root


@cache
def _parsed(text: str) -> dict[str, Any]:
    """Parsing takes a quarter of a second, and most tests change one file of a root."""
    parsed: dict[str, Any] = hcl2.loads(text)
    return parsed


def strings(value: Any) -> Iterator[str]:
    """Every text in a block, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


def literals(value: Any) -> Iterator[str]:
    """Every text that stands written out in a block: a literal, or quoted within an expression."""
    for text in strings(value):
        if text.startswith("${"):
            yield from _QUOTED.findall(text)
        else:
            yield text


def _plain(value: Any) -> Any:
    """Without comments, the parser's own marks and the quotes that it leaves around literals and labels."""
    if isinstance(value, Mapping):
        return {_unquoted(name): _plain(one) for name, one in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return _unquoted(value) if isinstance(value, str) else value


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text.startswith('"') and text.endswith('"') else text
