"""The page about generated clients, pasted into a shell for each language: its programs pay, read and refund."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from local.settings import PROJECT
from local.stack.stack import Stack
from local.testkit.live import Merchant, charges
from tests.support.missing_tools import missing_tool

pytestmark = pytest.mark.e2e

PAGE = PROJECT / "docs/merchants/clients.md"
LOCKS = PROJECT / "requirements/openapi"
ENVIRONMENT = PROJECT / ".venv-openapi"
ADDRESS = "http://127.0.0.1:8000"
RUN_SECONDS_MAX = 300
# The page says so: openapi-python-client knows no body of CSV.
LEFT_OUT = {"Python": ["POST /api/v1/ops/reconciliations/statements"]}


class Section(NamedTuple):
    """What the page has for a language: files by their names, commands, and what to install once."""

    files: dict[str, str]
    commands: list[str]
    installs: str


def section(language: str) -> Section:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {language}\n")[2].partition("\n## ")[0]
    named = r"^This is `([^`]+)`[^\n]*(?:\n[^\n]+)*\n\n```\w+\n(.*?)^```$"
    files = re.findall(named, text, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    [installs] = re.findall(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return Section(dict(files), "".join(blocks).splitlines(), installs)


def prepare_python(_folder: Path) -> None:
    """The environment has what the page installs."""


def prepare_typescript(folder: Path) -> None:
    (folder / "node_modules").symlink_to(ENVIRONMENT / "node_modules")


def prepare_go(folder: Path) -> None:
    if shutil.which("go") is None:
        missing_tool("go is not installed")
    for name in ("go.mod", "go.sum"):
        shutil.copy(LOCKS / name, folder)
    got = subprocess.run(["go", "mod", "download"], cwd=folder, capture_output=True, text=True, check=False)
    assert "checksum mismatch" not in got.stderr, got.stderr
    if got.returncode != 0:
        missing_tool(f"go mod download cannot get oapi-codegen: {got.stderr.strip()[-200:]}")


PREPARE = {"Python": prepare_python, "TypeScript": prepare_typescript, "Go": prepare_go}


class Printed(NamedTuple):
    """The words of what the programs print, and the routes that the generator says it leaves out."""

    lines: list[list[str]]
    left_out: list[str]


def run(script: str, folder: Path) -> Printed:
    """Run the script. Fail with everything that was printed."""
    places = (ENVIRONMENT / "bin", ENVIRONMENT / "node_modules/.bin", os.environ["PATH"])
    # A proxy of the machine must not see what goes to 127.0.0.1.
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment = {**kept, "PATH": os.pathsep.join(map(str, places))}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    return Printed(
        [line.split() for line in done.stdout.splitlines() if line.startswith(("payment ", "refund "))],
        re.findall(r"^WARNING parsing (.+) within", printed, re.MULTILINE),
    )


@pytest.mark.parametrize("language", PREPARE)
def test_a_client_pays_reads_and_refunds_once(
    openapi_environment: None, stack: Stack, demo: Merchant, tmp_path: Path, language: str
) -> None:
    PREPARE[language](tmp_path)
    # The first request for the document builds it, and a generator waits for 5 seconds only.
    httpx.get(f"{stack.urls.api}/openapi.json", trust_env=False, timeout=60).raise_for_status()
    files, commands, _ = section(language)
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace(ADDRESS, stack.urls.api))
    once, left_out = run("\n".join(commands).replace(ADDRESS, stack.urls.api), tmp_path)
    assert left_out == LEFT_OUT.get(language, [])
    assert [(word, status) for word, _, status in once] == [("payment", "succeeded"), ("refund", "succeeded")]
    payment_id = once[0][1]
    # The keys of idempotency belong to the order, so the second run moves no money.
    [paid, refunded] = run(commands[-1], tmp_path).lines
    assert (paid, refunded) == (["payment", payment_id, "partially_refunded"], once[1])
    payment = demo.get(payment_id)
    assert (payment["amount"], payment["amount_refunded"]) == ("100.50", "30.00")
    assert len(charges(stack.urls.gateway, payment_id)) == 1
    assert len(demo.get(f"{payment_id}/refunds")["data"]) == 1


def test_the_page_names_the_versions_of_the_lock() -> None:
    named = re.findall(r"(github\.com/[^\s@]+?)(?:/cmd/[^\s@]+)?@(v\S+)", section("Go").installs)
    locked = (LOCKS / "go.mod").read_text(encoding="utf-8")
    assert len(named) == 2
    for module, version in named:
        assert f"\t{module} {version} // indirect\n" in locked
