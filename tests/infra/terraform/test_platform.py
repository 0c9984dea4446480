"""The Terraform root `platform` and all modules are formatted and valid, and pass the tests beside them.

AWS is mocked, so these tests check the requests, not the answers of AWS.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local.settings import PROJECT
from tests.support.terraform import Terraform, prepared

pytestmark = [pytest.mark.integration, pytest.mark.terraform, pytest.mark.timeout(300)]

TERRAFORM = PROJECT / "infra/terraform"
MODULES = sorted(path.parent.relative_to(TERRAFORM).as_posix() for path in TERRAFORM.glob("modules/*/versions.tf"))
ENVIRONMENTS = sorted(path.stem for path in TERRAFORM.glob("platform/environments/*.tfvars"))

Planned = dict[str, list[dict[str, Any]]]


@pytest.mark.parametrize("folder", ["platform", *MODULES])
def test_passes_the_tests_beside_it(folder: str, tmp_path: Path) -> None:
    terraform = prepared(folder, tmp_path, {}, backend=False)
    done = terraform.run("test", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success! 0 passed" not in done.stdout


def test_a_false_assertion_fails(tmp_path: Path) -> None:
    terraform = prepared("modules/events", tmp_path, {}, backend=False)
    file = terraform.folder / "main.tf"
    file.write_text(file.read_text().replace("var.archive_days", "1"))
    done = terraform.run("test", "-no-color")
    assert done.returncode != 0
    assert "Events cannot be replayed for a month." in done.stdout + done.stderr


def test_the_root_with_its_modules_is_valid(tmp_path: Path) -> None:
    terraform = prepared("platform", tmp_path, {}, backend=False)
    done = terraform.run("validate", "-no-color")
    assert done.returncode == 0, done.stdout + done.stderr
    file = terraform.folder / "parameters.tf"
    file.write_text(file.read_text().replace("module.broker.arn", "module.broker.id"))
    assert terraform.run("validate").returncode != 0


def test_everything_is_formatted(tmp_path: Path) -> None:
    # Formatting needs no provider, so this checks the root of the topology too.
    terraform = prepared("modules/events", tmp_path, {}, backend=False)
    everything = Terraform(tmp_path / "infra", {})
    done = everything.run("fmt", "-check", "-diff", "-recursive")
    assert done.returncode == 0, done.stdout
    with (terraform.folder / "main.tf").open("a") as file:
        file.write("locals {\n a = 1\n  bc = 2\n}\n")
    assert everything.run("fmt", "-check", "-recursive").returncode != 0


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Planned]:
    """Return the planned resources by environment and type."""
    terraform = prepared("platform", tmp_path_factory.mktemp("platform"), {}, backend=False)
    return {environment: plan(terraform, environment) for environment in ENVIRONMENTS}


def plan(terraform: Terraform, environment: str) -> Planned:
    done = terraform.run(
        "test",
        "-json",
        "-verbose",
        "-test-directory=environments",
        "-filter=environments/environment.tftest.hcl",
        f"-var-file=environments/{environment}.tfvars",
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    found: Planned = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        for one in message.get("test_plan", {}).get("resource_changes", []):
            found.setdefault(one["type"], []).append(one["change"]["after"])
    return found


class TestEnvironments:
    def test_there_are_a_small_one_and_a_safe_one(self, planned: dict[str, Planned]) -> None:
        assert set(planned) == {"dev", "prod"}

    def test_prod_protects_its_data(self, planned: dict[str, Planned]) -> None:
        [database] = planned["prod"]["aws_db_instance"]
        assert database["deletion_protection"]
        assert database["multi_az"]
        assert database["backup_retention_period"] == 35
        assert not database["skip_final_snapshot"]
        [broker] = planned["prod"]["aws_mq_broker"]
        assert broker["deployment_mode"] == "CLUSTER_MULTI_AZ"
        assert len(planned["prod"]["aws_nat_gateway"]) == 3
        assert {one["recovery_window_in_days"] for one in planned["prod"]["aws_secretsmanager_secret"]} == {30}

    def test_dev_is_small_and_leaves_nothing_behind(self, planned: dict[str, Planned]) -> None:
        [database] = planned["dev"]["aws_db_instance"]
        assert database["instance_class"] == "db.t4g.micro"
        assert not database["multi_az"]
        assert not database["deletion_protection"]
        assert database["skip_final_snapshot"]
        [broker] = planned["dev"]["aws_mq_broker"]
        assert broker["deployment_mode"] == "SINGLE_INSTANCE"
        assert len(planned["dev"]["aws_nat_gateway"]) == 1
        assert [one["vpc_endpoint_type"] for one in planned["dev"]["aws_vpc_endpoint"]] == ["Gateway"]
        assert {one["recovery_window_in_days"] for one in planned["dev"]["aws_secretsmanager_secret"]} == {0}

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_none_pays_for_what_no_code_uses(self, planned: dict[str, Planned], environment: str) -> None:
        unused = {"aws_s3_bucket", "aws_elasticache_serverless_cache"}
        assert not unused & planned[environment].keys()

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_none_is_open_to_the_internet(self, planned: dict[str, Planned], environment: str) -> None:
        made = planned[environment]
        assert not any(one["publicly_accessible"] for one in made["aws_db_instance"] + made["aws_mq_broker"])
        assert not any(one.get("cidr_ipv4") for one in made["aws_vpc_security_group_ingress_rule"])

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_each_demands_tls_and_encrypts(self, planned: dict[str, Planned], environment: str) -> None:
        made = planned[environment]
        [group] = made["aws_db_parameter_group"]
        assert {"name": "rds.force_ssl", "value": "1", "apply_method": "immediate"} in group["parameter"]
        [proxy] = made["aws_db_proxy"]
        assert proxy["require_tls"]
        [database] = made["aws_db_instance"]
        assert database["storage_encrypted"]
        keys = [
            one["kms_key_id"]
            for kind in ("aws_secretsmanager_secret", "aws_cloudwatch_log_group")
            for one in made[kind]
        ]
        assert all(key.startswith("arn:aws:kms:") for key in keys)

    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_no_plan_holds_a_secret(self, planned: dict[str, Planned], environment: str) -> None:
        made = planned[environment]
        [database] = made["aws_db_instance"]
        assert database["manage_master_user_password"]
        assert database["password"] is None
        versions = made["aws_secretsmanager_secret_version"]
        # Of the database, the broker, its administrator, and the gateway's notices.
        assert len(versions) == 4
        assert not any(one["secret_string"] or one["secret_binary"] for one in versions)

    def test_an_environment_that_aws_would_refuse_is_refused(self, tmp_path: Path) -> None:
        terraform = prepared("platform", tmp_path, {}, backend=False)
        file = terraform.folder / "environments/dev.tfvars"
        file.write_text(file.read_text().replace("mq.m7g.medium", "mq.m5.large"))
        done = terraform.run(
            "test",
            "-no-color",
            "-test-directory=environments",
            "-filter=environments/environment.tftest.hcl",
            "-var-file=environments/dev.tfvars",
        )
        assert done.returncode != 0
        assert "RabbitMQ 4 runs only on mq.m7g" in " ".join((done.stdout + done.stderr).split())


def test_every_module_has_tests_and_describes_its_variables() -> None:
    for folder in ["platform", *MODULES]:
        assert list((TERRAFORM / folder).glob("*.tftest.hcl")), f"{folder} has no tests"
        for file in ("variables.tf", "outputs.tf"):
            text = (TERRAFORM / folder / file).read_text()
            blocks = text.count("\nvariable ") + text.count("\noutput ") + text.startswith(("variable ", "output "))
            assert text.count("\n  description = ") == blocks, f"{folder}/{file} has a block without a description"
