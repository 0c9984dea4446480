"""`make deploy` against a private AWS endpoint: each missing input is reported in one sentence."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra import deploy
from infra.account import Account
from infra.built import LAYER, Built
from infra.environments import functions_of, read_environment
from infra.errors import InputMissingError
from local.testkit.servers import Broker
from tests.support.aws_endpoint import REGION
from tests.support.packages import make_package
from tests.support.template import ROOT, TEMPLATE

pytestmark = pytest.mark.slow

PROXY = "paybridge-dev.proxy-abc.eu-central-1.rds.amazonaws.com"
INSTANCE = "paybridge-dev.abc.eu-central-1.rds.amazonaws.com"
DEV = read_environment("dev", TEMPLATE)


@pytest.fixture
def platform(aws: Any) -> Iterator[dict[str, str]]:
    """The SSM parameters of the platform for dev. Call `put` after a change of the dictionary."""
    ssm = aws("ssm")
    values = dict.fromkeys(DEV.ssm_names.values(), "value")
    values["/paybridge/dev/database/host"] = PROXY
    values["/paybridge/dev/broker/management-url"] = "http://127.0.0.1:9"
    for name, value in values.items():
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    yield values
    ssm.delete_parameters(Names=sorted(values)[:10])
    ssm.delete_parameters(Names=sorted(values)[10:])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "build").folder


class TestPrepare:
    def test_finds_everything(self, platform: dict[str, str], package: Path) -> None:
        found = deploy.prepare("dev", package)
        assert (found.region, found.account_id) == (REGION, "123456789012")
        assert len(found.release) == deploy.RELEASE_DIGITS
        assert "could not be checked from here" in found.topology

    def test_no_environment(self, package: Path) -> None:
        with pytest.raises(InputMissingError, match=r"ENVIRONMENT=dev \(samconfig.toml has dev, prod\)"):
            deploy.prepare("", package)

    def test_an_unknown_environment(self, package: Path) -> None:
        with pytest.raises(InputMissingError, match="no environment stage, only dev, prod"):
            deploy.prepare("stage", package)

    def test_an_unknown_parameter(self, package: Path) -> None:
        with pytest.raises(InputMissingError, match=r"no parameter Logs: correct SET, or dev in samconfig\.toml"):
            deploy.prepare("dev", package, ["Logs=INFO"])

    @pytest.mark.parametrize("setting", ["LogLevel", "LogLevel=", "=INFO"])
    def test_a_setting_without_name_or_value(self, package: Path, setting: str) -> None:
        with pytest.raises(InputMissingError, match=f"'{setting}' is not of the form Name=Value: correct SET"):
            deploy.prepare("dev", package, [setting])

    def test_no_package(self, tmp_path: Path) -> None:
        with pytest.raises(InputMissingError, match="no package yet"):
            deploy.prepare("dev", tmp_path)

    def test_a_package_for_another_processor(self, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "build", "x86_64").folder
        message = "for x86_64, but the functions of dev run on arm64: run `PAYBRIDGE_ARCHITECTURE=arm64 make package`"
        with pytest.raises(InputMissingError, match=message):
            deploy.prepare("dev", folder)

    def test_a_package_of_older_sources(self, package: Path) -> None:
        (package / "ApiFunction/api/app.py").write_text("# older")
        with pytest.raises(InputMissingError, match=r"functions/api/app\.py has changed since the package was built"):
            deploy.prepare("dev", package)

    def test_no_region(self, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_REGION")
        with pytest.raises(InputMissingError, match="No AWS region is set: export AWS_REGION"):
            deploy.prepare("dev", package)

    def test_an_unknown_profile(self, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(InputMissingError, match="set AWS_PROFILE to one that"):
            deploy.prepare("dev", package)

    def test_no_credentials(self, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(InputMissingError, match="no AWS credentials: sign in"):
            deploy.prepare("dev", package)

    def test_half_of_the_credentials(self, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(InputMissingError, match="credentials cannot be used"):
            deploy.prepare("dev", package)

    def test_an_endpoint_that_is_away(self, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(InputMissingError, match="AWS does not answer"):
            deploy.prepare("dev", package)

    def test_an_endpoint_that_is_no_url(self, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
        with pytest.raises(InputMissingError, match=r"Invalid endpoint: nowhere.*AWS_ENDPOINT_URL"):
            deploy.prepare("dev", package)

    def test_a_configuration_that_cannot_be_read(self, aws: Any, package: Path, tmp_path: Path) -> None:
        (tmp_path / "config").write_text("[nonsense")
        with pytest.raises(InputMissingError, match="AWS configuration cannot be used"):
            deploy.prepare("dev", package)

    def test_no_platform_names_each_parameter(self, aws: Any, package: Path) -> None:
        with pytest.raises(InputMissingError) as raised:
            deploy.prepare("dev", package)
        assert all(name in str(raised.value) for name in DEV.ssm_names.values())
        assert "apply infra/terraform/platform with environment=dev" in str(raised.value)

    def test_one_missing_parameter_is_named_alone(self, platform: dict[str, str], aws: Any, package: Path) -> None:
        aws("ssm").delete_parameter(Name="/paybridge/dev/gateway/url")
        with pytest.raises(InputMissingError, match="has no SSM parameter /paybridge/dev/gateway/url: apply"):
            deploy.prepare("dev", package)

    def test_the_platform_of_another_environment_is_none(self, platform: dict[str, str], package: Path) -> None:
        with pytest.raises(InputMissingError, match=r"/paybridge/prod/alarms/topic-arn, .* environment=prod"):
            deploy.prepare("prod", package)

    def test_a_database_without_proxy_and_without_its_authorities(
        self, platform: dict[str, str], aws: Any, package: Path
    ) -> None:
        aws("ssm").put_parameter(Name="/paybridge/dev/database/host", Value=INSTANCE, Type="String", Overwrite=True)
        with pytest.raises(InputMissingError, match=r'add "DatabaseTlsCaFile=/opt/certificates/rds\.pem" to dev'):
            deploy.prepare("dev", package)

    def test_a_stack_that_cannot_be_changed(
        self, platform: dict[str, str], package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Account.client

        class CloudFormation:
            def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
                return {"Stacks": [{"StackName": StackName, "StackStatus": "ROLLBACK_COMPLETE"}]}

        def client(self: Account, service: str) -> Any:
            return CloudFormation() if service == "cloudformation" else real(self, service)

        monkeypatch.setattr(Account, "client", client)
        with pytest.raises(InputMissingError, match=r"paybridge-dev is ROLLBACK_COMPLETE: .*`sam delete --stack-name"):
            deploy.prepare("dev", package)


class Lambda:
    """Lambda's answers about account and functions. moto has no such limits."""

    class exceptions:  # noqa: N801
        class ResourceNotFoundException(Exception):
            pass

    def __init__(self, unreserved: int, held: dict[str, int]) -> None:
        self._unreserved, self._held = unreserved, held

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self._unreserved}}

    def get_function_concurrency(self, FunctionName: str) -> dict[str, int]:  # noqa: N803
        if FunctionName not in self._held:
            raise self.exceptions.ResourceNotFoundException
        return {"ReservedConcurrentExecutions": self._held[FunctionName]}


class TestConcurrency:
    def check(self, monkeypatch: pytest.MonkeyPatch, unreserved: int, held: dict[str, int]) -> None:
        """Check an account with this unreserved concurrency, where functions have reserved some."""
        monkeypatch.setattr(Account, "client", lambda *_: Lambda(unreserved, held))
        Account(DEV).check_concurrency({"paybridge-dev-api": 5, "paybridge-dev-jobs": 1})

    def test_a_new_account_has_too_little(self, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InputMissingError, match=r'reserve 6 .* has 0 to give: .*"Concurrent executions"'):
            self.check(monkeypatch, 10, {})

    def test_lambdas_unreserved_minimum_is_not_available(self, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InputMissingError, match="has 5 to give"):
            self.check(monkeypatch, 105, {})
        self.check(monkeypatch, 106, {})

    def test_existing_reservations_count_as_available(self, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.check(monkeypatch, 100, {"paybridge-dev-api": 5, "paybridge-dev-jobs": 1})

    def test_an_account_without_readable_limits_is_left_to_lambda(self, aws: Any) -> None:
        Account(DEV).check_concurrency({"paybridge-dev-api": 5000})

    def test_an_invalid_parameter_is_reported(self) -> None:
        environment = read_environment("dev", TEMPLATE, ["PaymentShards=99"])
        with pytest.raises(InputMissingError, match="Correct SET, or dev in samconfig"):
            functions_of(environment, TEMPLATE)

    def test_the_template_says_what_they_reserve(self) -> None:
        reserved = {one.name: one.reserved_concurrency for one in functions_of(DEV, TEMPLATE)}
        assert (reserved["paybridge-dev-api"], reserved["paybridge-dev-jobs"]) == (5, 1)

    def test_the_guide_says_how_many_a_new_account_needs(self) -> None:
        sums = {
            name: sum(one.reserved_concurrency or 0 for one in functions_of(read_environment(name, TEMPLATE), TEMPLATE))
            for name in ("dev", "prod")
        }
        guide = " ".join((ROOT / "docs/operators/operations.md").read_text(encoding="utf-8").split())
        assert f"dev reserves {sums['dev']} concurrent executions and prod {sums['prod']}." in guide


class TestCertificates:
    def test_authorities_that_the_package_lacks(self, aws: Any) -> None:
        account = Account(read_environment("dev", TEMPLATE))
        account._environment.parameters["DatabaseTlsCaFile"] = "/opt/certificates/rds.pem"  # type: ignore[index]
        with pytest.raises(InputMissingError, match="run `make certificates package`"):
            account.check_certificates(INSTANCE, has_bundle=False)
        account.check_certificates(INSTANCE, has_bundle=True)


class TestRelease:
    def test_is_the_same_for_the_same(self, package: Path) -> None:
        assert deploy.release_of(Built(package), DEV, {"a": "1"}) == deploy.release_of(Built(package), DEV, {"a": "1"})

    def test_changes_with_a_value_in_ssm(self, package: Path) -> None:
        assert deploy.release_of(Built(package), DEV, {"a": "1"}) != deploy.release_of(Built(package), DEV, {"a": "2"})

    def test_changes_with_the_code(self, package: Path) -> None:
        before = deploy.release_of(Built(package), DEV, {})
        (package / LAYER / "python/new.py").touch()
        assert deploy.release_of(Built(package), DEV, {}) != before


@pytest.mark.integration
class TestTopology:
    @pytest.fixture
    def broker_in_aws(self, platform: dict[str, str], aws: Any, broker: Broker) -> Iterator[Any]:
        """Describe the session's broker as the platform does, and return a function that sets the virtual host."""
        address, _, place = broker.management_url.rpartition("@")
        user, _, password = address.removeprefix("http://").partition(":")
        arn = aws("secretsmanager").create_secret(
            Name="admin", SecretString=json.dumps({"username": user, "password": password})
        )["ARN"]
        names = {"management-url": f"http://{place}", "admin-secret-id": arn}
        for name, value in names.items():
            aws("ssm").put_parameter(Name=f"/paybridge/dev/broker/{name}", Value=value, Type="String", Overwrite=True)
        yield
        aws("secretsmanager").delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)

    def found(self, monkeypatch: pytest.MonkeyPatch, package: Path, vhost: str) -> str:
        """Return the sentence of `prepare` on the topology in a virtual host."""
        real = read_environment

        def read(name: str, template: Path, settings: Sequence[str]) -> Any:
            environment = real(name, template, settings)
            environment.parameters["BrokerVirtualHost"] = vhost  # type: ignore[index]
            return environment

        monkeypatch.setattr(deploy, "read_environment", read)
        return deploy.prepare("dev", package).topology

    def test_a_broker_with_every_queue(
        self, broker_in_aws: None, broker: Broker, package: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vhost = broker.fresh_vhost().name
        assert self.found(monkeypatch, package, vhost) == "The broker has every queue that the functions consume."

    @pytest.mark.parametrize("secret", ["no JSON", "[]", '{"username": "guest"}'])
    def test_a_broker_whose_login_is_none(
        self, broker_in_aws: None, aws: Any, package: Path, monkeypatch: pytest.MonkeyPatch, secret: str
    ) -> None:
        aws("secretsmanager").put_secret_value(SecretId="admin", SecretString=secret)
        note = self.found(monkeypatch, package, "/")
        assert "could not be checked from here (The secret" in note
        assert "needs a username and a password" in note
        assert secret not in note

    @pytest.mark.parametrize("exists", [True, False])
    def test_a_broker_without_topology(
        self, broker_in_aws: None, broker: Broker, package: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
    ) -> None:
        vhost = broker.fresh_vhost(declared=False).name if exists else "nowhere"
        with pytest.raises(InputMissingError, match=r"no queue .*payments\.new.* in its virtual host"):
            self.found(monkeypatch, package, vhost)


class TestMain:
    @pytest.fixture
    def calls(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path) -> Path:
        """Return the file with the arguments and the region of the call of SAM."""
        calls = tmp_path / "calls"
        sam = tmp_path / "sam"
        sam.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "$AWS_DEFAULT_REGION" > {calls}\nexit 7\n')
        sam.chmod(sam.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(deploy, "SAM", sam)
        monkeypatch.setattr(deploy, "BUILD", package)
        return calls

    def test_has_sam_deploy_with_the_parameters_of_the_environment_and_the_release(
        self, platform: dict[str, str], calls: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert deploy.main(["dev"]) == 7
        arguments = calls.read_text().splitlines()
        assert arguments[:5] == ["deploy", "--config-env", "dev", "--region", REGION]
        # There is no terminal to answer a question.
        assert {"--no-confirm-changeset", "--no-progressbar"} <= set(arguments)
        given = dict(pair.split("=", 1) for pair in arguments[arguments.index("--parameter-overrides") + 1 : -1])
        assert given.pop("Release") in capfd.readouterr().out
        assert given == DEV.overrides
        assert arguments[-1] == REGION

    def test_a_setting_for_this_once_wins_and_makes_another_release(
        self, platform: dict[str, str], package: Path
    ) -> None:
        usual, special = deploy.prepare("dev", package), deploy.prepare("dev", package, ["LogLevel=ERROR"])
        assert "LogLevel=ERROR" in deploy.sam_command(special, asks=False)
        assert usual.release != special.release

    def test_does_not_call_sam_if_an_input_is_missing(
        self, aws: Any, calls: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert deploy.main(["dev"]) == 1
        assert not calls.exists()
        captured = capfd.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1

    def test_lets_sam_ask_a_person(self, platform: dict[str, str], package: Path) -> None:
        command = deploy.sam_command(deploy.prepare("dev", package), asks=True)
        assert not {"--no-confirm-changeset", "--no-progressbar"} & set(command)
