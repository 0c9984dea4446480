"""Rules about sources that linters lack. Each takes a syntax tree and yields (line, problem)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Finding = tuple[int, str]

# What a pure function may need. A module of the standard library that is not named here either does input and output,
# reads a clock, uses randomness, or has had no use in the domain so far.
PURE_MODULES = frozenset({
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "collections.abc", "contextlib", "dataclasses",
    "datetime", "decimal", "email.utils", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac",
    "ipaddress", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing", "unicodedata",
    "urllib.parse", "uuid",
})  # fmt: skip

# Names in otherwise pure modules that read a clock, use randomness or do input and output.
IMPURE_NAMES = frozenset({
    "breakpoint", "formatdate", "input", "localtime", "make_msgid", "now", "open", "print", "today", "utcnow",
    "uuid1", "uuid4", "uuid6", "uuid7",
})  # fmt: skip

HTTPX_CALLS = frozenset({
    "AsyncClient", "Client", "delete", "get", "head", "options", "patch", "post", "put", "request", "stream",
})  # fmt: skip


def environment_reads(tree: ast.AST) -> Iterator[Finding]:
    """Uses of the process environment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"}:
            yield node.lineno, f"os.{node.attr}"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if alias.name in {"environ", "environb", "getenv", "putenv"}:
                    yield node.lineno, f"from os import {alias.name}"


def commits(tree: ast.AST) -> Iterator[Finding]:
    """Commits, by a method of that name or by SQL."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "commit":
            yield node.lineno, ".commit"
        if isinstance(node, ast.Constant) and str(node.value).strip().rstrip(";").upper() in {"COMMIT", "END"}:
            yield node.lineno, f"SQL {node.value!r}"


def float_calls(tree: ast.AST) -> Iterator[Finding]:
    """Calls of float."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield node.lineno, "float(…)"


def float_values(tree: ast.AST) -> Iterator[Finding]:
    """Everything that makes a float: calls, literals, annotations, and division, which turns integers into one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "float"
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, f"the float {node.value!r}"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "division"


def default_timeouts(tree: ast.AST) -> Iterator[Finding]:
    """Uses of httpx without a timeout, which then is five seconds. A transport of the test's own needs none."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="httpx"), attr=name)) if name in HTTPX_CALLS:
                if not any(keyword.arg in ("timeout", "transport", None) for keyword in node.keywords):
                    yield node.lineno, f"httpx.{name} without a timeout"


def impurities(tree: ast.AST) -> Iterator[Finding]:
    """Imports and names with which a module does input and output, reads a clock or uses randomness."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"import {alias.name}") for alias in node.names if not _is_pure(alias.name))
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if not _is_pure(module) and module != "urllib":
                yield node.lineno, f"from {module} import"
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in {*IMPURE_NAMES, "request"})
        elif isinstance(node, ast.Attribute) and node.attr in IMPURE_NAMES:
            yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in IMPURE_NAMES - {"now"}:
            yield node.lineno, node.id


# The parts of the core that a domain may use; its clock and its source of identifiers are not among them.
PURE_CORE = frozenset(
    {
        f"paybridge.core.{name}"
        for name in (
            "errors",
            "event_patterns",
            "events",
            "gaps",
            "money",
            "raw_messages",
            "records",
            "retry",
            "standard_webhooks",
            "times",
        )
    }
)


def _is_pure(module: str) -> bool:
    parts = module.split(".")
    return module in PURE_MODULES | PURE_CORE or (parts[0] == "paybridge" and parts[2:3] == ["domain"])
