"""`sam validate` and `sam build` accept the template, and the built functions run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker

from infra.built import LAYER, LAYERS
from tests.support import template as templates
from tests.support.template import ROOT

pytestmark = [pytest.mark.sam, pytest.mark.usefixtures("sam_environment")]

SAM = ROOT / ".venv-sam/bin/sam"
PACKAGES = templates.packages(templates.load_template())
# What machine the wheels are for, by the template's name of the processor.
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
ARCHITECTURE = "arm64"
# `sam build` fetches the wheels of two layers.
SAM_SECONDS_MAX = 600
# The runtime of the functions, by the markers of the lock file.
IN_LAMBDA = {"python_full_version": "3.13.0", "sys_platform": "linux", "platform_python_implementation": "CPython"}


def run_sam(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run sam as on a machine without an AWS account. Its own files go to `home`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "PAYBRIDGE_ARCHITECTURE": ARCHITECTURE,
        # The interpreter whose pip fetches the layer's wheels; the one on PATH may have none.
        "PYTHON": sys.executable,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(home),
    }
    return subprocess.run(
        [str(SAM), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SAM_SECONDS_MAX,
    )


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built artifacts."""
    folder = tmp_path_factory.mktemp("sam")
    result = run_sam(
        "build", "--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache"), home=folder / "home"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder / "build"


def test_validates_with_lint(tmp_path: Path) -> None:
    result = run_sam("validate", "--lint", home=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "is a valid SAM Template" in result.stdout


def test_lint_refuses_an_unknown_property(tmp_path: Path) -> None:
    broken = templates.TEMPLATE.read_text(encoding="utf-8").replace("RetentionInDays:", "RetentionInYears:")
    (tmp_path / "template.yaml").write_text(broken, encoding="utf-8")
    result = run_sam("validate", "--lint", "--template", str(tmp_path / "template.yaml"), home=tmp_path)
    assert result.returncode != 0
    assert "RetentionInYears" in result.stdout + result.stderr


# What CloudFormation's own macro does with the built template, by the same library.
EXPAND = """
import json
import sys
from types import SimpleNamespace
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

template = yaml_parse(open(sys.argv[1]).read())
for resource in template["Resources"].values():
    for place in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
        resource["Properties"][place] = "s3://artifacts/package.zip"
print(json.dumps(transform(template, json.loads(sys.argv[2]), SimpleNamespace(load=dict))["Resources"]))
"""


def expanded(build: Path, **parameters: str) -> dict[str, Any]:
    """The resources that CloudFormation makes of the built template."""
    command = [str(SAM.with_name("python")), "-c", EXPAND, str(build / "template.yaml"), json.dumps(parameters)]
    environment = {"AWS_DEFAULT_REGION": "eu-central-1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    resources: dict[str, Any] = json.loads(result.stdout)
    return resources


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    """The properties of the resources of one type."""
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


def test_cloudformation_can_expand_it(build: Path) -> None:
    # Lint does not notice what the macro cannot expand.
    types = {resource["Type"] for resource in expanded(build).values()}
    assert "AWS::Lambda::EventSourceMapping" in types
    assert not [name for name in types if name.startswith("AWS::Serverless::")]


def test_whatever_invokes_a_function_invokes_its_alias(build: Path) -> None:
    resources = expanded(build)
    invoked = {
        **{name: one["FunctionName"] for name, one in of_type(resources, "AWS::Lambda::EventSourceMapping").items()},
        **{name: one["FunctionName"] for name, one in of_type(resources, "AWS::Lambda::Permission").items()},
        **{name: one["Target"]["Arn"] for name, one in of_type(resources, "AWS::Scheduler::Schedule").items()},
    }
    assert len(invoked) >= 11 + 3 + 2
    # Secrets Manager takes one login at a time from old to new: there is nothing to shift gradually.
    assert invoked.pop("RotatePermission") == {"Ref": "RotateFunction"}
    assert [name for name, target in invoked.items() if not target["Ref"].endswith("FunctionAliaslive")] == []
    [api] = of_type(resources, "AWS::ApiGatewayV2::Api").values()
    for path in api["Body"]["paths"].values():
        for method in path.values():
            uri = method["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            assert uri.endswith("/functions/${ApiFunctionAliaslive}/invocations")


def test_a_new_release_publishes_a_new_version_of_everything_that_takes_traffic(build: Path) -> None:
    # Also if only the value of a parameter has changed, which SAM alone does not notice.
    old, new = (expanded(build, Release=digit * 64) for digit in "ab")
    published = [set(of_type(resources, "AWS::Lambda::Version")) for resources in (old, new)]
    assert len(published[0]) == len(published[1]) == len(of_type(new, "AWS::Lambda::Alias"))
    assert published[0] & published[1] == set()
    # Lambda refuses a version of a function that is as it was.
    for name in of_type(new, "AWS::Lambda::Alias"):
        function = name.removesuffix("Aliaslive")
        assert new[function]["Properties"]["Description"].endswith(f" {'b' * 64}")


def test_codedeploy_gets_the_deployment_type_as_it_knows_it(build: Path) -> None:
    chosen = "CodeDeployDefault.LambdaLinear10PercentEvery1Minute"
    groups = of_type(expanded(build, DeploymentType=chosen), "AWS::CodeDeploy::DeploymentGroup")
    assert {group["DeploymentConfigName"] for group in groups.values()} == {chosen}


class TestBuild:
    def test_leaves_nothing_in_the_tree(self, build: Path) -> None:
        assert build.is_dir()
        assert not list(ROOT.glob("functions/*/.aws-sam"))
        assert not list(ROOT.glob("layers/paybridge/python"))

    @pytest.mark.parametrize("logical_id", PACKAGES)
    def test_artifact_holds_only_its_own_package(self, build: Path, logical_id: str) -> None:
        assert [path.name for path in (build / logical_id).iterdir()] == [PACKAGES[logical_id]]
        assert not list((build / logical_id).rglob("__pycache__"))

    @pytest.mark.parametrize("logical_id", PACKAGES)
    def test_handler_imports_without_environment(self, build: Path, tmp_path: Path, logical_id: str) -> None:
        # The layer's wheels are for Lambda's processor, so that the same versions come from this environment; of the
        # project itself only the artifact and the layer's copy of the package are on the path.
        (tmp_path / "paybridge").symlink_to(build / "PaybridgeLayer/python/paybridge")
        script = (
            f"import sys; sys.path[:0] = [{str(build / logical_id)!r}, {str(tmp_path)!r}]\n"
            f"from {PACKAGES[logical_id]}.handler import handler\n"
            "assert callable(handler)\n"
        )
        command = [sys.executable, "-I", "-B", "-c", script]
        result = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr

    def test_no_distribution_depends_on_the_python_that_builds_the_layer(self) -> None:
        lock = (ROOT / "layers/paybridge/requirements.txt").read_text(encoding="utf-8")
        assert not re.findall(r"^.*;.*python_(?:full_)?version.*$", lock, flags=re.MULTILINE)

    @pytest.mark.parametrize("layer", LAYERS)
    def test_layer_holds_every_pinned_distribution(self, build: Path, layer: str) -> None:
        python = build / layer / "python"
        lock = (ROOT / LAYERS[layer]).read_text(encoding="utf-8")
        lines = re.findall(r"^([a-z0-9.-]+==[^\s;]+)(?: ; (.+?))? \\$", lock, flags=re.MULTILINE)
        pinned = {name.replace("-", "_") for name, marker in lines if not marker or Marker(marker).evaluate(IN_LAMBDA)}
        present = {
            path.name.removesuffix(".dist-info").replace("-", "==", 1).lower() for path in python.glob("*.dist-info")
        }
        assert len(pinned) > (10 if layer == LAYER else 1)
        assert present == {name.lower() for name in pinned}
        assert (python / "paybridge/wiring/settings.py").is_file() == (layer == LAYER)
        assert not list(python.rglob("__pycache__"))

    def test_only_the_archive_has_the_second_layer(self, build: Path) -> None:
        functions = of_type(expanded(build), "AWS::Lambda::Function")
        layers = {name: one["Layers"] for name, one in functions.items()}
        assert [name for name, refs in layers.items() if len(refs) > 1] == ["ArchiveFunction"]

    def test_layer_holds_the_migrations(self, build: Path) -> None:
        source = ROOT / "layers/paybridge/paybridge/database/migrations"
        built = build / "PaybridgeLayer/python/paybridge/database/migrations"
        files = {path.relative_to(source) for path in source.rglob("*.py")}
        assert files
        assert {path.relative_to(built) for path in built.rglob("*.py")} == files

    @pytest.mark.parametrize("layer", LAYERS)
    def test_layer_is_for_lambda(self, build: Path, layer: str) -> None:
        libraries = [path.name for path in (build / layer).rglob("*.so")]
        assert libraries
        wrong = [name for name in libraries if "linux" in name and MACHINES[ARCHITECTURE] not in name]
        wrong += [name for name in libraries if "cpython-" in name and "cpython-313-" not in name]
        assert wrong == []

    def test_layers_and_functions_fit_into_lambda(self, build: Path) -> None:
        size_bytes = sum(path.stat().st_size for path in build.rglob("*") if path.is_file())
        assert size_bytes < 250 * 1024 * 1024
