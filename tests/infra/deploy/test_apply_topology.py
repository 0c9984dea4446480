"""`make topology` against a private AWS endpoint and broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra import apply_topology
from infra.account import Account
from infra.apply_topology import FUNCTIONS
from infra.broker import ADMIN, MANAGEMENT_URL
from infra.environments import read_environment
from infra.errors import InputMissingError
from local.testkit.servers import Broker
from tests.support.aws_endpoint import REGION
from tests.support.template import TEMPLATE
from tests.support.terraform import prepared
from tests.support.terraform_topology import listed, permissions

pytestmark = pytest.mark.slow

BUCKET, STATE = "terraform-state", "paybridge/dev/topology.tfstate"
DEV = read_environment("dev", TEMPLATE)
# Records its arguments. It cannot save its state in the first run.
UNLUCKY_TERRAFORM = """#!/bin/sh
echo "$@" | sed "s/ -.*//" >> {folder}/asked
if [ "$1" = apply ] && [ ! -e {folder}/well ]; then echo state > errored.tfstate; exit 3; fi
"""


@pytest.fixture
def platform(aws: Any, broker: Broker) -> dict[str, str]:
    """Create the platform's outputs for the broker: its address and the logins of administrator and functions."""
    management = urlsplit(broker.management_url)
    logins = {
        ADMIN: {"username": management.username, "password": management.password},
        FUNCTIONS: {"username": "functions-of-dev", "password": "first-password-of-dev"},
    }
    values = {MANAGEMENT_URL: f"http://{management.hostname}:{management.port}"}
    for name, login in logins.items():
        values[name] = _put_secret(aws("secretsmanager"), name, json.dumps(login))
    for name, value in values.items():
        aws("ssm").put_parameter(Name=DEV.ssm_prefix + name, Value=value, Type="String", Overwrite=True)
    return values


def _put_secret(client: Any, name: str, text: str) -> str:
    try:
        return str(client.create_secret(Name=name, SecretString=text)["ARN"])
    except client.exceptions.ResourceExistsException:
        return str(client.put_secret_value(SecretId=name, SecretString=text)["ARN"])


class TestWhatIsMissing:
    def test_an_environment(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert apply_topology.main([]) == 1
        assert "ENVIRONMENT=dev" in capsys.readouterr().err

    def test_the_bucket_of_the_state(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
        monkeypatch.delenv("TERRAFORM_STATE_BUCKET", raising=False)
        with pytest.raises(InputMissingError, match="export TERRAFORM_STATE_BUCKET"):
            apply_topology.state_place(DEV, REGION)

    def test_terraform(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shutil.which", lambda _: None)
        with pytest.raises(InputMissingError, match="Terraform is missing"):
            apply_topology.state_place(DEV, REGION)

    def test_the_platform(self, aws: Any) -> None:
        names = [DEV.ssm_prefix + name for name in (MANAGEMENT_URL, ADMIN, FUNCTIONS)]
        aws("ssm").delete_parameters(Names=names)
        with pytest.raises(InputMissingError, match=r"/paybridge/dev/broker/management-url.*platform"):
            apply_topology.broker_variables(Account(DEV), DEV)

    def test_a_secret(self, platform: dict[str, str], aws: Any) -> None:
        aws("ssm").put_parameter(Name=DEV.ssm_prefix + ADMIN, Value="gone", Type="String", Overwrite=True)
        with pytest.raises(InputMissingError, match="The secret gone cannot be read"):
            apply_topology.broker_variables(Account(DEV), DEV)

    def test_a_login_in_a_secret(self, platform: dict[str, str], aws: Any) -> None:
        aws("secretsmanager").put_secret_value(SecretId=ADMIN, SecretString="not JSON")
        with pytest.raises(InputMissingError, match="needs a username and a password") as raised:
            apply_topology.broker_variables(Account(DEV), DEV)
        assert "not JSON" not in str(raised.value)

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nowhere", "http://[", "http://host:port"])
    def test_a_way_to_the_broker(self, url: str) -> None:
        with pytest.raises(InputMissingError, match="BROKER_MANAGEMENT_URL"):
            apply_topology.check_reachable(url)


class TestVariables:
    def test_come_from_parameters_and_secrets(self, platform: dict[str, str]) -> None:
        found = apply_topology.broker_variables(Account(DEV), DEV)
        assert found["management_url"] == platform[MANAGEMENT_URL]
        assert (found["functions_username"], found["functions_password"]) == (
            "functions-of-dev",
            "first-password-of-dev",
        )
        assert found["vhost"] == "/"

    def test_a_tunnel_stands_in_for_the_address(
        self, platform: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BROKER_MANAGEMENT_URL", "https://localhost:15671")
        assert apply_topology.broker_variables(Account(DEV), DEV)["management_url"] == "https://localhost:15671"


def test_a_state_that_terraform_could_not_save_is_kept_and_saved_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "dev.errored.tfstate"
    terraform = tmp_path / "bin/terraform"
    terraform.parent.mkdir()
    terraform.write_text(UNLUCKY_TERRAFORM.format(folder=tmp_path))
    terraform.chmod(0o755)
    monkeypatch.setenv("PATH", f"{terraform.parent}:/usr/bin:/bin")

    assert apply_topology.apply({}, [], kept, asks=False) == 3
    assert kept.read_text() == "state\n"
    assert f"could not save its state. {kept} has it" in capfd.readouterr().err

    (tmp_path / "well").touch()
    assert apply_topology.apply({}, [], kept, asks=False) == 0
    assert (tmp_path / "asked").read_text().splitlines() == ["init", "apply", "init", f"state push {kept}", "apply"]
    assert not kept.exists()


@pytest.mark.timeout(300)
def test_applies_to_the_broker_and_keeps_the_state_in_the_bucket(
    platform: dict[str, str],
    aws: Any,
    endpoint: str,
    broker: Broker,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    prepared("topology", tmp_path, {})
    aws("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    vhost = broker.fresh_vhost(declared=False)
    variables = {**apply_topology.broker_variables(Account(DEV), DEV), "vhost": vhost.name, "vhost_exists": "true"}

    unsaved = tmp_path / "dev.errored.tfstate"
    assert apply_topology.apply(variables, _state_at(endpoint), unsaved, asks=False) == 0
    capfd.readouterr()
    state = json.loads(aws("s3").get_object(Bucket=BUCKET, Key=STATE)["Body"].read())
    unsaved.write_text(json.dumps({**state, "serial": state["serial"] + 1}))
    assert apply_topology.apply(variables, _state_at(endpoint), unsaved, asks=False) == 0
    assert not unsaved.exists()

    # It has found its state, so there is nothing to do.
    assert "0 added, 0 changed, 0 destroyed" in capfd.readouterr().out
    assert {"payments.new", "payments.dead"} <= {one["name"] for one in listed(vhost, "queues")}
    assert variables["functions_username"] in permissions(vhost)


def _state_at(endpoint: str) -> list[str]:
    """Return the arguments of `init` for the bucket and the fake endpoint."""
    place = {"bucket": BUCKET, "key": STATE, "region": REGION, "use_path_style": "true"}
    return [f"-backend-config={name}={value}" for name, value in place.items()]
