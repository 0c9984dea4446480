"""`make deploy`: check everything that a deployment needs, then deploy the package with SAM."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.account import Account
from infra.broker import check_topology
from infra.built import BUILD, PROJECT, Built, digest_of
from infra.environments import Environment, functions_of, read_environment
from infra.errors import InputMissingError
from infra.package import SAM
from infra.programs import run_to_its_end

# SAM builds logical ids from the first ten digits. The description of each version has all of them.
RELEASE_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment whose inputs have been checked."""

    environment: Environment
    template: Path
    account_id: str
    region: str
    release: str
    # A sentence on the broker's queues.
    topology: str


def main(arguments: list[str]) -> int:
    """Deploy and return the exit status. Print the first missing input on standard error."""
    try:
        deployment = prepare(arguments[0] if arguments else "", BUILD, arguments[1:])
    except InputMissingError as error:
        print(error, file=sys.stderr)
        return 1
    environment = deployment.environment
    print(f"Deploying {environment.stack_name} to {deployment.region} of account {deployment.account_id},")
    print(f"release {deployment.release}.")
    print(deployment.topology, flush=True)
    command = sam_command(deployment, asks=sys.stdin.isatty())
    variables = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": deployment.region}
    return run_to_its_end(command, PROJECT, variables)


def prepare(name: str, folder: Path, settings: Sequence[str] = ()) -> Deployment:
    """Check this machine, then the account. Change nothing. Raises InputMissingError."""
    environment = read_environment(name, PROJECT / "template.yaml", settings)
    built = Built(folder)
    check_package(built, environment)
    account = Account(environment)
    account_id = account.check_credentials()
    values = account.read_parameters()
    account.check_certificates(values["DatabaseHost"], has_bundle=built.has_rds_certificates())
    account.check_stack()
    functions = functions_of(environment, PROJECT / "template.yaml")
    account.check_concurrency({function.name: function.reserved_concurrency or 0 for function in functions})
    note = check_topology(account, environment, PROJECT / "template.yaml")
    release = release_of(built, environment, values)
    return Deployment(environment, built.template, account_id, account.region, release, note)


def check_package(built: Built, environment: Environment) -> None:
    """Raise InputMissingError unless the package fits the environment's processor and the current sources."""
    wanted = environment.parameters["Architecture"]
    if built.architecture() != wanted:
        raise InputMissingError(
            f"The package is for {built.architecture()}, but the functions of {environment.name} run on {wanted}: run "
            f"`PAYBRIDGE_ARCHITECTURE={wanted} make package`."
        )
    changed = built.changed_source()
    if changed is not None:
        raise InputMissingError(f"{changed} has changed since the package was built: run `make package` again.")


def release_of(built: Built, environment: Environment, values: Mapping[str, str]) -> str:
    """Return a digest of code and configuration. An unchanged digest publishes no new versions."""
    configuration = {**environment.parameters, **values}
    lines = (f"{name}={value}" for name, value in sorted(configuration.items()))
    return digest_of(iter([built.digest(), *lines]))[:RELEASE_DIGITS]


def sam_command(deployment: Deployment, *, asks: bool) -> list[str]:
    """Return the SAM command. `asks` false: without confirmation and progress bar, for a log instead of a person."""
    overrides = {**deployment.environment.overrides, "Release": deployment.release}
    command = [str(SAM), "deploy", "--config-env", deployment.environment.name, "--region", deployment.region]
    command += ["--config-file", str(PROJECT / "samconfig.toml"), "--template-file", str(deployment.template)]
    # A log would get a hundred lines of the bar for each upload.
    command += [] if asks else ["--no-confirm-changeset", "--no-progressbar"]
    # These replace all parameter overrides of samconfig.toml.
    return [*command, "--parameter-overrides", *(f"{name}={value}" for name, value in overrides.items())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
