"""The tools that merchants use accept the OpenAPI document: two linters, and a compiler for a generated client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.settings import PROJECT
from tests.support.openapi import Contract

ENVIRONMENT = PROJECT / ".venv-openapi"
FILES = Path(__file__).parent / "openapi_tools"
TOOL_SECONDS_MAX = 120


@pytest.fixture(scope="module")
def workplace(contract: Contract, openapi_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the document and the tools' files."""
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "openapi.json").write_text(json.dumps(contract.document))
    for file in FILES.iterdir():
        shutil.copy(file, folder)
    return folder


def run(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the environment in the folder. It asks for no update and reports nothing to its makers."""
    return subprocess.run(
        [str(ENVIRONMENT / "node_modules/.bin" / tool), *arguments],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS_MAX,
        check=False,
    )


def assert_passes(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr


def linted(folder: Path, tool: str) -> subprocess.CompletedProcess[str]:
    arguments = {
        "redocly": ("lint", "openapi.json", "--config", "redocly.yaml"),
        "spectral": ("lint", "openapi.json", "--ruleset", "spectral.yaml", "--fail-severity", "hint"),
    }
    return run(folder, tool, *arguments[tool])


@pytest.mark.parametrize("tool", ["redocly", "spectral"])
def test_a_linter_finds_nothing(workplace: Path, tool: str) -> None:
    assert_passes(linted(workplace, tool))


@pytest.mark.parametrize("tool", ["redocly", "spectral"])
def test_a_linter_would_find_a_fault(workplace: Path, contract: Contract, tmp_path: Path, tool: str) -> None:
    shutil.copytree(workplace, tmp_path / "faulty")
    (tmp_path / "faulty/openapi.json").write_text(json.dumps({**contract.document, "servers": []}))
    assert linted(tmp_path / "faulty", tool).returncode != 0


def test_the_smallest_request_compiles_in_typescript(workplace: Path) -> None:
    assert_passes(run(workplace, "openapi-typescript", "openapi.json", "--output", "api.d.ts"))
    assert_passes(run(workplace, "tsc", "--noEmit", "--strict", "--target", "es2022", "client.ts"))
