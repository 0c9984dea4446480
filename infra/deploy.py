"""`make deploy`: looks for everything that a deployment needs, then has SAM deploy the package."""

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

# SAM makes logical ids of the first ten; the whole goes into the description of each version.
RELEASE_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Deployment:
    """What has been found to be there."""

    environment: Environment
    template: Path
    account_id: str
    region: str
    release: str
    # What was found out about the broker's queues.
    topology: str


def main(arguments: list[str]) -> int:
    """Returns the exit status; the first thing that is missing is one sentence on standard error."""
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
    """Looks at what is on this machine, then at the account; changes nothing. Raises InputMissingError."""
    environment = read_environment(name, PROJECT / "template.yaml", settings)
    built = Built(folder)
    check_package(built, environment)
    account = Account(environment)
    account_id = account.check_credentials()
    values = account.read_parameters()
    account.check_certificates(values["DatabaseHost"], has_bundle=built.has_rds_certificates())
    account.check_stack()
    functions = functions_of(environment, PROJECT / "template.yaml")
    account.check_concurrency({one.name: one.reserved_concurrency or 0 for one in functions})
    note = check_topology(account, environment, PROJECT / "template.yaml")
    release = release_of(built, environment, values)
    return Deployment(environment, built.template, account_id, account.region, release, note)


def check_package(built: Built, environment: Environment) -> None:
    """Raises InputMissingError unless the package is for the environment's processor and of the present sources."""
    wanted = environment.parameters["Architecture"]
    if built.architecture() != wanted:
        raise InputMissingError(
            f"The package is for {built.architecture()} and the functions of {environment.name} run on {wanted}: run "
            f"`PAYBRIDGE_ARCHITECTURE={wanted} make package`."
        )
    changed = built.changed_source()
    if changed is not None:
        raise InputMissingError(f"{changed} is not in the package as it is now: run `make package` again.")


def release_of(built: Built, environment: Environment, values: Mapping[str, str]) -> str:
    """A digest of code and configuration: the same again publishes nothing, any change publishes new versions."""
    configuration = {**environment.parameters, **values}
    lines = (f"{name}={value}" for name, value in sorted(configuration.items()))
    return digest_of(iter([built.digest(), *lines]))[:RELEASE_DIGITS]


def sam_command(deployment: Deployment, *, asks: bool) -> list[str]:
    """What SAM is called with; without somebody to ask it goes on where samconfig.toml would have it ask."""
    overrides = {**deployment.environment.overrides, "Release": deployment.release}
    command = [str(SAM), "deploy", "--config-env", deployment.environment.name, "--region", deployment.region]
    command += ["--config-file", str(PROJECT / "samconfig.toml"), "--template-file", str(deployment.template)]
    command += [] if asks else ["--no-confirm-changeset"]
    # These replace the ones of samconfig.toml as a whole.
    return [*command, "--parameter-overrides", *(f"{name}={value}" for name, value in overrides.items())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
