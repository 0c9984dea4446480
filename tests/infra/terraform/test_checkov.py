"""checkov finds nothing unsafe in Terraform and the template except the skipped checks, and each skip has a reason.

It works offline with its built-in checks. Its version is pinned in requirements/checkov.lock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.settings import PROJECT

CHECKOV = PROJECT / ".venv-checkov/bin/checkov"
TERRAFORM = PROJECT / "infra/terraform"
TEMPLATE = PROJECT / "template.yaml"
SKIP = re.compile(r"checkov:skip=(\w+)(?::(.*))?")
# A shorter reason would only repeat the check's name.
REASON_CHARACTERS_MIN = 30


def scan(*arguments: str) -> dict[str, Any]:
    """Run checkov and return its report."""
    done = subprocess.run(
        [str(CHECKOV), "--skip-download", "--output", "json", *arguments],
        env={**os.environ, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    return report


def failures(report: dict[str, Any]) -> list[str]:
    return [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in report["results"]["failed_checks"]]


def skips(text: str) -> list[tuple[str, str]]:
    """Return the checks that a file skips, with their reasons."""
    return [(check, (reason or "").strip()) for check, reason in SKIP.findall(text)]


def without_reason(text: str) -> list[str]:
    return [check for check, reason in skips(text) if len(reason) < REASON_CHARACTERS_MIN or not reason.endswith(".")]


@pytest.fixture(scope="module")
def terraform(checkov_environment: None) -> dict[str, Any]:
    return scan("--directory", str(TERRAFORM), "--framework", "terraform")


@pytest.fixture(scope="module")
def template(checkov_environment: None) -> dict[str, Any]:
    return scan("--file", str(TEMPLATE), "--framework", "cloudformation")


def test_terraform_is_safe(terraform: dict[str, Any]) -> None:
    assert failures(terraform) == []
    assert terraform["summary"]["passed"] > 200


def test_the_template_is_safe(template: dict[str, Any]) -> None:
    assert failures(template) == []
    assert template["summary"]["passed"] > 30


def test_unsafe_settings_are_found(checkov_environment: None, tmp_path: Path) -> None:
    folder = shutil.copytree(TERRAFORM / "modules/archive", tmp_path / "archive")
    file = folder / "main.tf"
    file.write_text(file.read_text().replace("block_public_policy     = true", "block_public_policy     = false"))
    found = failures(scan("--directory", str(folder), "--framework", "terraform"))
    assert "CKV_AWS_54" in {one.split()[0] for one in found}


@pytest.mark.parametrize("path", [TEMPLATE, *sorted(TERRAFORM.rglob("*.tf"))], ids=lambda path: path.name)
def test_every_skip_has_a_reason(path: Path) -> None:
    assert without_reason(path.read_text()) == []


@pytest.mark.parametrize(
    "comment", ["# checkov:skip=CKV_AWS_1", "# checkov:skip=CKV_AWS_1:", "# checkov:skip=CKV_AWS_1:no"]
)
def test_a_skip_without_a_reason_is_named(comment: str) -> None:
    assert without_reason(f"resource {{\n  {comment}\n}}\n") == ["CKV_AWS_1"]


def test_every_skip_is_needed(terraform: dict[str, Any], template: dict[str, Any]) -> None:
    skipped = {
        (Path(one["file_path"]).parent.name, one["check_id"])
        for report in (terraform, template)
        for one in report["results"]["skipped_checks"]
    }
    written = {
        (path.parent.name if path != TEMPLATE else "", check)
        for path in [TEMPLATE, *TERRAFORM.rglob("*.tf")]
        for check, _ in skips(path.read_text())
    }
    assert written == skipped
