"""How `sam local` reads the template, by its own library without Docker."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.sam_template.definitions import FunctionDefinition
from infra.sam_template.template import read_template
from local.settings import LocalSettings
from local.stack import sam
from tests.support.template import ROOT, TEMPLATE

pytestmark = [pytest.mark.sam, pytest.mark.usefixtures("sam_environment")]

SETTINGS = LocalSettings(container_host="172.17.0.1")
ENDPOINT = "http://172.17.0.1:4566"
# What a user may have exported for another purpose, here for every variable of the template.
EXPORTED = "exported"
PARAMETERS = {
    "EnvironmentName": "local",
    "DatabaseHost": "172.17.0.1",
    "WebhookRetryDelaysSeconds": "1,2,4",
    "WebhookLocalNetworks": "127.0.0.0/8,::1/128,172.17.0.1/32",
}
# As `sam local start-lambda` reads its own arguments, finds functions by name and makes their environment.
RESOLVE = """
import json, sys
from samcli.commands.local.cli_common.invoke_context import InvokeContext
from samcli.commands.local.start_lambda.cli import cli
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

options = cli.make_context("start-lambda", sys.argv[1:], resilient_parsing=False).params
stacks, _ = SamLocalStackProvider.get_stacks(
    options["template_file"], parameter_overrides=options["parameter_overrides"]
)
provider = SamFunctionProvider(stacks)
runner = LocalLambdaRunner(
    local_runtime=None,
    function_provider=provider,
    cwd=".",
    real_path=".",
    env_vars_values=InvokeContext._get_env_vars_value(options["env_vars"]),
)
found = {}
for function in provider.get_all():
    variables = runner._make_env_vars(function).resolve()
    found[function.function_id] = {"variables": variables, "handler": function.handler, "layers": len(function.layers)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each function by logical id, as sam would start it."""
    folder = tmp_path_factory.mktemp("template")
    template = folder / "template.yaml"
    # A built template names folders beside itself; the sources' ones will do.
    shutil.copy(TEMPLATE, template)
    for name in ("functions", "layers"):
        (folder / name).symlink_to(ROOT / name)
    sam.name_endpoint(plain(template), ENDPOINT)
    settings = replace(SETTINGS, state_dir=folder / "state")
    command = sam.start_lambda_command(settings, template, PARAMETERS, [], has_image=True)
    names = {name for function in definitions().values() for name in function.environment}
    with pytest.MonkeyPatch.context() as patched:
        for name in (*names, "AWS_ENDPOINT_URL"):
            patched.setenv(name, EXPORTED)
        environment = sam.start_lambda_environment(settings, template)
    # `sam local start-lambda` becomes the script that shows what sam would run.
    words = [str(word) for word in command]
    assert words[:3] == [str(sam.SAM), "local", "start-lambda"]
    result = subprocess.run(
        [str(sam.SAM.with_name("python")), "-c", RESOLVE, *words[3:]],
        env={**environment, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def definitions() -> Mapping[str, FunctionDefinition]:
    """Each function by logical id, as our own reader reads it."""
    return read_template(TEMPLATE, {}, read_ssm=lambda name: name).functions


def plain(template: Path) -> Path:
    """The template as `sam build` leaves it, with the long forms of the intrinsic functions."""
    command = [str(sam.SAM.with_name("python")), "-c", REWRITE, str(template)]
    subprocess.run(command, check=True)
    return template


REWRITE = """
import sys
from samcli.yamlhelper import yaml_dump, yaml_parse

text = yaml_dump(yaml_parse(open(sys.argv[1]).read()))
open(sys.argv[1], "w").write(text)
"""


def test_finds_every_function_that_the_bridge_invokes(resolved: dict[str, Any]) -> None:
    functions = definitions()
    assert resolved.keys() == functions.keys()
    for logical_id, function in functions.items():
        assert resolved[logical_id]["handler"] == function.handler
        assert resolved[logical_id]["layers"] == len(function.layer_dirs)


def test_gives_functions_the_addresses_that_containers_reach(resolved: dict[str, Any]) -> None:
    for function in resolved.values():
        assert function["variables"]["AWS_ENDPOINT_URL"] == ENDPOINT
    assert resolved["ApiFunction"]["variables"]["DATABASE_HOST"] == "172.17.0.1"


def test_gives_functions_nothing_that_the_user_has_exported(resolved: dict[str, Any]) -> None:
    for logical_id, function in definitions().items():
        assert resolved[logical_id]["variables"].keys() >= function.environment.keys()
        assert EXPORTED not in resolved[logical_id]["variables"].values()
    assert resolved["ApiFunction"]["variables"]["ENVIRONMENT_NAME"] == "local"


def test_keeps_values_with_commas_whole(resolved: dict[str, Any]) -> None:
    variables = resolved["WebhooksFunction"]["variables"]
    assert variables["WEBHOOK_RETRY_DELAYS_SECONDS"] == "1,2,4"
    assert variables["WEBHOOK_LOCAL_NETWORKS"] == "127.0.0.0/8,::1/128,172.17.0.1/32"
