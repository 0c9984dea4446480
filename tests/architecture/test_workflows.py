"""The workflows of GitHub Actions run only pinned actions, with the least rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.template import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
USES = re.compile(r"^\s*(?:- )?uses: (.+)$", flags=re.MULTILINE)
PINNED = re.compile(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
OWN = re.compile(r"\./\.github/workflows/[a-z-]+\.yml")
# The jobs with a role in AWS: plans and, in their GitHub environment, deployments.
KNOWN_TO_AWS = {
    ("plan.yml", "platform"),
    ("deploy-environment.yml", "plan"),
    ("deploy-environment.yml", "deploy"),
    ("deploy.yml", "dev"),
    ("deploy.yml", "prod"),
}


def unpinned(workflow: str) -> list[str]:
    """Return the actions that are not pinned to a commit."""
    return [used for used in USES.findall(workflow) if not PINNED.fullmatch(used) and not OWN.fullmatch(used)]


def scripts_with_expressions(workflow: str) -> list[str]:
    """Return the scripts into which GitHub pastes foreign text, such as the name of a branch."""
    jobs = yaml.safe_load(workflow)["jobs"].values()
    return [step["run"] for job in jobs for step in job.get("steps", ()) if "${{" in step.get("run", "")]


def jobs_with_identity(workflow: str) -> list[str]:
    """Return the jobs that may request an identity token."""
    document: dict[str, Any] = yaml.safe_load(workflow)
    may = "id-token" in document["permissions"]
    jobs = document["jobs"].items()
    return [name for name, job in jobs if may or "id-token" in job.get("permissions", {})]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
class TestWorkflows:
    def test_pin_actions_by_commit(self, file: Path) -> None:
        assert USES.search(file.read_text())
        assert unpinned(file.read_text()) == []

    def test_pass_foreign_text_to_scripts_in_variables_only(self, file: Path) -> None:
        assert scripts_with_expressions(file.read_text()) == []

    def test_start_with_read_rights_only(self, file: Path) -> None:
        assert yaml.safe_load(file.read_text())["permissions"] == {"contents": "read"}

    def test_have_an_identity_only_where_they_need_it(self, file: Path) -> None:
        found = {(file.name, job) for job in jobs_with_identity(file.read_text())}
        assert found == {known for known in KNOWN_TO_AWS if known[0] == file.name}

    def test_leave_no_credentials_in_the_clone(self, file: Path) -> None:
        for job in yaml.safe_load(file.read_text())["jobs"].values():
            for step in job.get("steps", ()):
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


class TestDeployment:
    def test_make_topology_knows_where_the_state_is(self) -> None:
        job = deployment()["jobs"]["deploy"]
        assert any("make topology" in step.get("run", "") for step in job["steps"])
        assert "TERRAFORM_STATE_BUCKET" in job["env"]

    def test_the_runner_is_chosen_by_inputs(self) -> None:
        job = deployment()["jobs"]["deploy"]
        # Variables of the GitHub environment are not: GitHub would take its own runner, which reaches no broker.
        assert "vars." not in job["runs-on"]
        conditions = [step["if"] for step in job["steps"] if "if" in step]
        assert conditions
        assert all(condition.startswith("inputs.runner ") for condition in conditions)

    def test_the_role_is_held_as_long_as_the_job_may_take(self) -> None:
        job = deployment()["jobs"]["deploy"]
        [login] = [step["with"] for step in job["steps"] if "configure-aws-credentials" in step.get("uses", "")]
        assert login["role-duration-seconds"] == job["timeout-minutes"] * 60

    def test_what_is_approved_is_applied(self) -> None:
        plan, deploy = deployment()["jobs"]["plan"], deployment()["jobs"]["deploy"]
        # Reviewers approve the job in the environment, after they could read the plan.
        assert deploy["needs"] == "plan"
        assert deploy["environment"] == "${{ inputs.environment }}"
        assert plan["environment"] == "${{ inputs.environment }}-plan"
        applied = [line for step in deploy["steps"] for line in lines_of(step) if line.startswith("terraform apply")]
        assert applied == ['terraform apply "$RUNNER_TEMP/plan"']
        [upload] = [step["with"] for step in plan["steps"] if "upload-artifact" in step.get("uses", "")]
        downloads = [step["with"] for step in deploy["steps"] if "download-artifact" in step.get("uses", "")]
        assert upload["name"] in [download["name"] for download in downloads]
        # A plan holds what the state holds, and everyone who reads the repository may read artifacts.
        assert upload["path"].endswith("plan.gpg")

    def test_a_plan_that_deletes_data_is_refused_before_its_approval(self) -> None:
        steps = deployment()["jobs"]["plan"]["steps"]
        names = [name_of(step) for step in steps]
        guard = next(place for place, step in enumerate(steps) if "infra.guard_plan" in step.get("run", ""))
        assert guard < next(place for place, name in enumerate(names) if "upload-artifact" in name)
        assert steps[guard]["env"] == {"ALLOWED": "${{ inputs.allow-deleting }}"}
        # A published release has no such input, so it never deletes data.
        triggers = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())[True]
        assert triggers["workflow_dispatch"]["inputs"]["allow-deleting"]["default"] == ""

    @pytest.mark.parametrize("name", ["plan.yml", "deploy-environment.yml"])
    def test_providers_are_those_of_the_lock_file(self, name: str) -> None:
        jobs = yaml.safe_load((ROOT / ".github/workflows" / name).read_text())["jobs"].values()
        begun = [line for job in jobs for step in job["steps"] for line in lines_of(step) if "terraform init" in line]
        assert begun
        assert all("-lockfile=readonly" in line for line in begun)


class TestLockFile:
    """infra/terraform/platform/.terraform.lock.hcl."""

    TEXT = (ROOT / "infra/terraform/platform/.terraform.lock.hcl").read_text(encoding="utf-8")

    def test_has_every_provider_of_the_platform_within_its_constraint(self) -> None:
        locked = dict(re.findall(r'provider "[^"/]+/([^"]+)" {\n  version     = "([^"]+)"', self.TEXT))
        wanted: dict[str, str] = {}
        for file in (ROOT / "infra/terraform").glob("[pm]*/**/versions.tf"):
            wanted |= re.findall(r'source  = "([^"]+)"\n +version = "~> ([^"]+)"', file.read_text(encoding="utf-8"))
        assert locked.keys() == wanted.keys() == {"hashicorp/aws", "hashicorp/random"}
        for name, constraint in wanted.items():
            major, minor = constraint.split(".")
            assert locked[name].split(".")[0] == major
            assert int(locked[name].split(".")[1]) >= int(minor)

    def test_has_the_packages_of_every_platform(self) -> None:
        """A `zh:` hash is that of one platform's package, and a provider is published for at least eleven."""
        for block in self.TEXT.split("provider ")[1:]:
            hashes = re.findall(r'"zh:([0-9a-f]{64})"', block)
            assert len(set(hashes)) == len(hashes) >= 11

    def test_is_not_ignored(self) -> None:
        assert ".terraform.lock.hcl" not in (ROOT / ".gitignore").read_text(encoding="utf-8")


def deployment() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/deploy-environment.yml").read_text())
    return document


def lines_of(step: dict[str, Any]) -> list[str]:
    return [line.strip() for line in step.get("run", "").splitlines()]


def name_of(step: dict[str, Any]) -> str:
    return str(step.get("uses") or step.get("name") or step["run"])


class TestRules:
    """Each rule finds what it looks for."""

    def test_a_tag_is_not_a_commit(self) -> None:
        assert unpinned("      - uses: actions/checkout@v7\n") == ["actions/checkout@v7"]

    def test_a_branch_name_in_a_script_is_found(self) -> None:
        script = "echo ${{ github.head_ref }}"
        assert scripts_with_expressions(f"jobs: {{one: {{steps: [{{run: '{script}'}}]}}}}") == [script]

    def test_rights_for_all_jobs_are_rights_of_each(self) -> None:
        assert jobs_with_identity("{permissions: {id-token: write}, jobs: {one: {}, two: {}}}") == ["one", "two"]
