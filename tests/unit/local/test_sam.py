"""What the sam command is given, and what of a built template the emulators do not get."""

from pathlib import Path

import pytest
import yaml

from local import sam
from local.errors import MissingToolError
from local.processes import Processes
from local.settings import LocalSettings

BUILT = {
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


class TestOverrides:
    def test_are_one_option(self) -> None:
        assert sam.overrides({"A": "1", "B": "2,3"}) == ["--parameter-overrides", "A=1", "B=2,3"]
