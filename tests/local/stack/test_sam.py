"""The arguments of the sam command, and what is removed from a built template for the emulators."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.errors import MissingToolError
from local.servers.processes import Processes, accepts_connections, free_port
from local.settings import LocalSettings
from local.stack import sam

BUILT: dict[str, Any] = {
    "Parameters": {
        "Name": {"Type": "String", "AllowedPattern": "[a-z]+"},
        "Host": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/host", "AllowedPattern": "/.+"},
    },
    "Resources": {
        "Api": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Handler": "a.b", "AutoPublishAlias": "live", "DeploymentPreference": {"Type": "Canary"}},
        },
        "Slow": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Latency"}},
        "Failing": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [{"Id": "rate"}]}},
        "Rotation": {"Type": "AWS::SecretsManager::RotationSchedule", "Properties": {"SecretId": "one"}},
        "Other": {"Type": "Custom::Other", "Properties": {"Metrics": []}},
    },
}


class TestFitToEmulators:
    def test_takes_out_what_they_do_not_know_and_nothing_else(self, tmp_path: Path) -> None:
        template = tmp_path / "template.yaml"
        template.write_text(yaml.safe_dump(BUILT))
        sam.fit_to_emulators(template)
        assert yaml.safe_load(template.read_text()) == {
            "Parameters": {
                "Name": BUILT["Parameters"]["Name"],
                "Host": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/host"},
            },
            "Resources": {
                "Api": {
                    "Type": "AWS::Serverless::Function",
                    "Properties": {"Handler": "a.b", "AutoPublishAlias": "live"},
                },
                "Slow": BUILT["Resources"]["Slow"],
                "Other": BUILT["Resources"]["Other"],
            },
        }


class TestEnvironment:
    def test_has_nothing_of_the_users_own_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID"):
            monkeypatch.setenv(name, "real")
        settings = LocalSettings()
        given = {name: value for name, value in sam.environment(settings).items() if name.startswith("AWS_")}
        assert given.pop("AWS_CONFIG_FILE") == given.pop("AWS_SHARED_CREDENTIALS_FILE") == "/dev/null"
        assert given == {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        }


class TestBuild:
    def test_says_what_installs_a_missing_sam(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sam, "SAM", tmp_path / "bin" / "sam")
        with pytest.raises(MissingToolError, match="make localstack"):
            sam.build(LocalSettings(state_dir=tmp_path), Processes(tmp_path), sam.HOST)


# A sam that records its arguments and listens on the port in them.
LISTENING_SAM = """#!{python}
import os, pathlib, socket, sys, time
log = pathlib.Path(os.environ["__SAM_CLI_APP_DIR"])
log.mkdir(parents=True)
(log / "arguments").write_text("\\n".join(sys.argv[1:]))
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
time.sleep(60)
"""


class TestStartLambda:
    @pytest.mark.parametrize("has_image", [True, False])
    def test_starts_warm_containers_of_the_functions_and_waits_for_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_image: bool
    ) -> None:
        program = tmp_path / "bin-sam"
        program.write_text(LISTENING_SAM.format(python=sys.executable))
        program.chmod(0o755)
        monkeypatch.setattr(sam, "SAM", program)
        (tmp_path / "built.yaml").write_text("{}")
        settings = LocalSettings(state_dir=tmp_path, lambda_port=free_port(), container_host="10.0.0.1")
        processes = Processes(tmp_path)
        try:
            sam.start_lambda(
                settings, processes, tmp_path / "built.yaml", {"A": "1,2"}, ["ApiFunction"], has_image=has_image
            )
            assert accepts_connections(settings.lambda_port)
        finally:
            processes.stop(seconds_max=1)
        arguments = (tmp_path / "sam" / "home" / "arguments").read_text().replace("\n", " ")
        expected = f"local start-lambda ApiFunction --config-env offline --template-file {tmp_path}/built.yaml "
        expected += f"--host 127.0.0.1 --port {settings.lambda_port} --warm-containers EAGER --no-watch "
        expected += f"--env-vars {tmp_path}/sam/variables.json --parameter-overrides A=1,2" + (
            " --skip-pull-image" if has_image else ""
        )
        assert arguments == expected
        variables = json.loads((tmp_path / "sam" / "variables.json").read_text())
        assert variables == {"Parameters": {"AWS_ENDPOINT_URL": "http://10.0.0.1:4566"}}


class TestStartLambdaEnvironment:
    def test_lacks_every_variable_of_the_built_template_but_sams_own_endpoint(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built = {
            "Globals": {"Function": {"Environment": {"Variables": {"GATEWAY_URL": "a", "AWS_ENDPOINT_URL": "b"}}}},
            "Resources": {
                "Api": {"Properties": {"Environment": {"Variables": {"ENVIRONMENT_NAME": {"Ref": "Name"}}}}},
                "Bare": {"Type": "AWS::SNS::Topic"},
                "Elastic": {"Type": "AWS::Other", "Properties": {"Environment": "text"}},
            },
        }
        template = tmp_path / "template.yaml"
        template.write_text(yaml.safe_dump(built))
        for name in ("GATEWAY_URL", "ENVIRONMENT_NAME", "AWS_ENDPOINT_URL", "DOCKER_HOST"):
            monkeypatch.setenv(name, "exported")
        given = sam.start_lambda_environment(LocalSettings(), template)
        assert not {"GATEWAY_URL", "ENVIRONMENT_NAME"} & given.keys()
        assert given["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
        assert given["DOCKER_HOST"] == "exported"


class TestNameEndpoint:
    def test_gives_every_function_one_more_variable_and_changes_nothing_else(self, tmp_path: Path) -> None:
        built: dict[str, Any] = {
            "Globals": {"Function": {"Environment": {"Variables": {"A": {"Ref": "B"}}}}},
            "Resources": {},
        }
        template = tmp_path / "template.yaml"
        template.write_text(yaml.safe_dump(built))
        sam.name_endpoint(template, "http://172.17.0.1:4566")
        built["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = "http://172.17.0.1:4566"
        assert yaml.safe_load(template.read_text()) == built


class TestOverrides:
    def test_are_one_option(self) -> None:
        assert sam.overrides({"A": "1", "B": "2,3"}) == ["--parameter-overrides", "A=1", "B=2,3"]
