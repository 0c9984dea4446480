"""Terraform as a test runs it: on a copy of the infrastructure, in a folder of the test's own.

The provider comes from where Terraform looks for it: the registry, or a mirror that `TF_CLI_CONFIG_FILE` names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.settings import PROJECT
from tests.support.missing_tools import missing_tool

SECONDS_MAX = 240
# Why a root could not be initialised: asked once, because Terraform tries the registry several times.
_UNAVAILABLE: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Terraform:
    """One root module with its variables, initialised in `folder`; its state is a file there."""

    folder: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `terraform ARGUMENTS` and returns what it printed, whether it succeeded or not."""
        environment = {**os.environ, **{f"TF_VAR_{name}": value for name, value in self.variables.items()}}
        return subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env={**environment, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    def apply(self) -> None:
        """Applies the module; fails the test with what Terraform said when it cannot."""
        applied = self.run("apply", "-auto-approve", "-input=false", "-no-color")
        assert applied.returncode == 0, applied.stdout + applied.stderr

    def changes(self) -> list[tuple[str, tuple[str, ...]]]:
        """What a plan would do, as (address, actions); empty when everything is as it should be."""
        assert self.run("plan", "-input=false", "-out=plan").returncode == 0
        plan: dict[str, Any] = json.loads(self.run("show", "-json", "plan").stdout)
        found = ((one["address"], tuple(one["change"]["actions"])) for one in plan.get("resource_changes", []))
        return [(address, actions) for address, actions in found if actions != ("no-op",)]

    def take_state_of(self, other: Terraform) -> None:
        """Goes on where `other`, the same root in another folder, has come to."""
        shutil.copy(other.folder / "terraform.tfstate", self.folder)

    def edit_topology(self, change: Any) -> None:
        """Gives the copy's topology to `change`, which edits it in place."""
        path = self.folder / "../../topology.json"
        topology = json.loads(path.read_text())
        change(topology)
        path.write_text(json.dumps(topology))


def prepared(root: str, folder: Path, variables: dict[str, str], *, backend: bool = True) -> Terraform:
    """A copy of `infra/terraform/ROOT`, initialised; without `backend` for one whose state is in the cloud.

    Without Terraform or the provider the test is skipped with the reason, but fails where CI has promised them.
    """
    if shutil.which("terraform") is None:
        missing_tool("terraform is not installed")
    if root in _UNAVAILABLE:
        missing_tool(_UNAVAILABLE[root])
    shutil.copytree(PROJECT / "infra", folder / "infra", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    # The platform reads the functions' names from it.
    shutil.copy(PROJECT / "template.yaml", folder)
    terraform = Terraform(folder / "infra" / "terraform" / root, variables)
    begun = terraform.run("init", "-input=false", "-no-color", *([] if backend else ["-backend=false"]))
    if begun.returncode != 0:
        _UNAVAILABLE[root] = f"terraform init cannot get the provider: {_error_in(begun.stderr)}"
        missing_tool(_UNAVAILABLE[root])
    return terraform


def _error_in(output: str) -> str:
    """The error in what Terraform says, in one line and without its frame and warnings."""
    plain = " ".join(output.replace("│", " ").replace("╷", " ").replace("╵", " ").split())
    return plain[plain.rfind("Error: ") :].removeprefix("Error: ")[:200]
