"""Which module uses which HTTP client, as docs/decisions/0024-which-http-client.md says."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = ("layers/paybridge/paybridge", "functions", "infra")
LAYER = "layers/paybridge/paybridge"

CLIENTS = {"aiohttp", "http.client", "httpx", "pyreqwest", "requests", "urllib.request", "urllib3"}
# Everything else uses httpx.
EXCEPTIONS = {
    f"{LAYER}/payments/gateways/http.py": {"pyreqwest"},
    "functions/migrate/custom_resource.py": {"urllib3"},
}


def clients_in(source: str) -> set[str]:
    """Return the HTTP clients that the source imports."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {client for client in CLIENTS for module in modules if f"{module}.".startswith(f"{client}.")}


def strange_uses(used: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the modules, by path, whose clients are not those of the decision."""
    expected = {path: {"httpx"} for path, clients in used.items() if clients} | EXCEPTIONS
    return {path: used.get(path, set()) for path in expected if used.get(path, set()) != expected[path]}


def clients_by_module() -> dict[str, set[str]]:
    return {
        str(path.relative_to(PROJECT)): clients_in(path.read_text(encoding="utf-8"))
        for folder in SOURCES
        for path in sorted((PROJECT / folder).rglob("*.py"))
    }


def test_every_module_uses_the_client_of_the_decision() -> None:
    assert strange_uses(clients_by_module()) == {}


@pytest.mark.parametrize(
    ("path", "clients"),
    [
        (f"{LAYER}/payments/gateways/http.py", {"pyreqwest", "httpx"}),
        (f"{LAYER}/webhooks/http.py", {"aiohttp"}),
        (f"{LAYER}/secrets/broker_users.py", {"httpx", "requests"}),
        ("functions/jobs/handler.py", {"urllib3"}),
    ],
)
def test_a_planted_violation_is_named(path: str, clients: set[str]) -> None:
    assert strange_uses({**clients_by_module(), path: clients}) == {path: clients}


def test_another_client_is_found() -> None:
    assert clients_in("from urllib import request\nimport aiohttp.web\nimport httpxx\n") == {
        "urllib.request",
        "aiohttp",
    }
