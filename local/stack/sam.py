"""The sam command: build the functions of `template.yaml`, deploy them to an endpoint, follow their logs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from infra.sam_template.intrinsics import SSM_TYPE_PREFIX
from local.errors import LocalError, MissingToolError
from local.servers import aws, docker, ministack
from local.servers.processes import Child, Processes, StoppingError, accepts_connections
from local.settings import AWS_KEYS, AWS_REGION, PROJECT, LocalSettings

SAM = PROJECT / ".venv-sam" / "bin" / "sam"
STACK_NAME = "paybridge-local"
ARTIFACTS_BUCKET = "paybridge-local-artifacts"
# What `sam local start-lambda` is called in `.local/pids` and `.local/logs`.
START_LAMBDA = "sam"
# The layer's makefile calls this machine's platform so, as opposed to Lambda's.
HOST = "host"
# The first start fetches Lambda's image and builds one with the layer.
START_LAMBDA_SECONDS_MAX = 900
# An environment that samconfig.toml does not have: its deployments are real ones.
NO_CONFIGURATION = ("--config-env", "offline")


def build(settings: LocalSettings, processes: Processes, platform: str) -> Path:
    """Build functions and layer for a platform of the layer's makefile. Return the built template. Raises LocalError.

    For `host` the layer fits MiniStack's Python, which runs the functions.
    """
    _require()
    folder = settings.state_dir / "sam"
    command: list[str | Path] = [SAM, "build", *NO_CONFIGURATION, "--template-file", PROJECT / "template.yaml"]
    command += ["--parallel", "--build-dir", folder / "build", "--cache-dir", folder / "cache"]
    python = ministack.PYTHON if platform == HOST else Path(sys.executable)
    variables = {"PAYBRIDGE_ARCHITECTURE": platform, "PYTHON": str(python)}
    processes.run_tool(command, environment(settings, variables))
    return folder / "build" / "template.yaml"


def fit_to_emulators(template: Path) -> None:
    """Remove from a built template the four things that the emulators do not know.

    No emulator has CodeDeploy, which moves aliases gradually on AWS. Without it they move at once, and its hook is
    deployed but not called. The other three are for MiniStack: it has no alarms over several metrics and no schedules
    of rotations, and it applies the pattern for the name of an SSM parameter to that parameter's value.
    """
    document = yaml.safe_load(template.read_text(encoding="utf-8"))
    for parameter in document["Parameters"].values():
        if parameter["Type"].startswith(SSM_TYPE_PREFIX):
            parameter.pop("AllowedPattern", None)
    for logical_id, resource in list(document["Resources"].items()):
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"].pop("DeploymentPreference", None)
        elif _is_unknown(resource):
            del document["Resources"][logical_id]
    template.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def _is_unknown(resource: Mapping[str, Any]) -> bool:
    if resource["Type"] == "AWS::CloudWatch::Alarm":
        return "Metrics" in resource["Properties"]
    return bool(resource["Type"] == "AWS::SecretsManager::RotationSchedule")


def name_endpoint(template: Path, url: str) -> None:
    """Add AWS_ENDPOINT_URL to a built template: `sam local` passes on only variables that are in the template."""
    document = yaml.safe_load(template.read_text(encoding="utf-8"))
    document["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = url
    template.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def deploy(settings: LocalSettings, processes: Processes, template: Path, parameters: Mapping[str, str]) -> None:
    """Deploy a built template to the stack's endpoint with `sam deploy`. Raises LocalError."""
    s3 = aws.client(settings, "s3")
    if ARTIFACTS_BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=ARTIFACTS_BUCKET, CreateBucketConfiguration={"LocationConstraint": AWS_REGION})
    command: list[str | Path] = [SAM, "deploy", *NO_CONFIGURATION, "--template-file", template]
    command += ["--stack-name", STACK_NAME, "--s3-bucket", ARTIFACTS_BUCKET, "--capabilities", "CAPABILITY_IAM"]
    command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar", *overrides(parameters)]
    try:
        # sam's default of 5 s between polls would take longer than the deployment.
        processes.run_tool(command, environment(settings, {"SAM_CLI_POLL_DELAY": "0.5"}))
    except StoppingError:
        raise
    except LocalError as error:
        reasons = _failures(settings)
        raise LocalError(f"The deployment failed. {reasons}" if reasons else str(error)) from None


def _failures(settings: LocalSettings) -> str:
    """Return which resources failed and why, from CloudFormation; empty if it got to none."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        events = aws.client(settings, "cloudformation").describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    except (BotoCoreError, ClientError):
        return ""
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return " ".join(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)


def start_lambda(
    settings: LocalSettings,
    processes: Processes,
    template: Path,
    parameters: Mapping[str, str],
    functions: Sequence[str],
    *,
    has_image: bool,
) -> Child:
    """Start `sam local start-lambda` with one container for each function, and return when it listens.

    Unless `has_image`, sam fetches Lambda's image first, which takes minutes. Raises LocalError.
    """
    command = start_lambda_command(settings, template, parameters, functions, has_image=has_image)
    child = processes.start(START_LAMBDA, command, start_lambda_environment(settings, template))
    become_ready(settings, processes, child)
    return child


def become_ready(settings: LocalSettings, processes: Processes, child: Child) -> None:
    """Wait until a started `start_lambda` listens. Raises LocalError."""
    processes.wait_until_ready(child, lambda: accepts_connections(settings.lambda_port), START_LAMBDA_SECONDS_MAX)


def start_lambda_command(
    settings: LocalSettings,
    template: Path,
    parameters: Mapping[str, str],
    functions: Sequence[str],
    *,
    has_image: bool,
) -> list[str | Path]:
    """Return the command of `start_lambda`, and write the file of variables that it names."""
    variables = settings.state_dir / "sam" / "variables.json"
    variables.parent.mkdir(parents=True, exist_ok=True)
    # For all functions, and stronger than sam's own environment, in which AWS is on loopback.
    endpoint = {"AWS_ENDPOINT_URL": settings.seen_by_functions(settings.aws_url)}
    variables.write_text(json.dumps({"Parameters": endpoint}), encoding="utf-8")
    command: list[str | Path] = [SAM, "local", "start-lambda", *functions, *NO_CONFIGURATION]
    command += ["--template-file", template, "--host", "127.0.0.1", "--port", str(settings.lambda_port)]
    command += ["--warm-containers", "EAGER", "--no-watch", "--env-vars", variables, *overrides(parameters)]
    # Without the option sam asks the registry even for an image that is here, which fails offline.
    return [*command, "--skip-pull-image"] if has_image else command


def start_lambda_environment(settings: LocalSettings, template: Path) -> dict[str, str]:
    """Return the environment of `start_lambda`, without the variables that the built template gives to functions.

    sam would give its own value of such a variable to the functions: one that the user has exported by chance.
    """
    ours = _variables_in(yaml.safe_load(template.read_text(encoding="utf-8")))
    given = environment(settings)
    return {name: value for name, value in given.items() if name == "AWS_ENDPOINT_URL" or name not in ours}


def remove_containers(settings: LocalSettings) -> int:
    """Remove the functions' containers of this stack that are left, and return how many there were.

    sam removes them when it is asked to end. After a crash or SIGKILL they stay.
    """
    folder = settings.state_dir / "sam"
    return docker.remove_containers_of(folder) if folder.exists() else 0


def _variables_in(document: Mapping[str, Any]) -> set[str]:
    """Return the names of all variables that a built template gives to its functions."""
    resources = [resource.get("Properties") or {} for resource in document.get("Resources", {}).values()]
    functions = [document.get("Globals", {}).get("Function") or {}, *resources]
    environments = [function.get("Environment") for function in functions]
    return {name for one in environments if isinstance(one, Mapping) for name in one.get("Variables") or ()}


def follow_logs(settings: LocalSettings, processes: Processes) -> Child:
    """Start copying the logs of the deployed functions into the stack's logs."""
    command: list[str | Path] = [SAM, "logs", *NO_CONFIGURATION, "--stack-name", STACK_NAME, "--tail"]
    return processes.start("functions", command, environment(settings))


def overrides(parameters: Mapping[str, str]) -> Sequence[str]:
    """Return the option that sets the template's parameters."""
    return ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]


def environment(settings: LocalSettings, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which AWS is the stack's endpoint, without any trace of the user's own account."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **own,
        **AWS_KEYS,
        "AWS_ENDPOINT_URL": settings.aws_url,
        "AWS_DEFAULT_REGION": AWS_REGION,
        # Keep sam from looking for the user's profiles and sessions.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(settings.state_dir / "sam" / "home"),
        "PYTHONUNBUFFERED": "1",
        **(more or {}),
    }


def _require() -> None:
    if not SAM.exists():
        raise MissingToolError(
            f"sam is not installed in {SAM.parents[1]}: `make sam-local` and `make localstack` install it."
        )
