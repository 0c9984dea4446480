"""`make topology ENVIRONMENT=…`: apply infra/terraform/topology to an environment's broker."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from infra.account import Account
from infra.broker import ADMIN, MANAGEMENT_URL
from infra.built import PROJECT
from infra.environments import Environment, read_environment
from infra.errors import InputMissingError
from infra.programs import run_to_its_end

ROOT = "infra/terraform/topology"
FUNCTIONS = "broker/secret-id"
CONNECT_SECONDS_MAX = 5.0
# Terraform writes this file if it cannot save its state.
UNSAVED_STATE = "errored.tfstate"
# Added to the copy that is applied. The module itself names no backend, so it can keep its state anywhere.
BACKEND = 'terraform {\n  backend "s3" {\n    encrypt      = true\n    use_lockfile = true\n  }\n}\n'


def main(arguments: list[str]) -> int:
    """Apply the topology and return the exit status. Print the first missing input on standard error."""
    try:
        environment = read_environment(arguments[0] if arguments else "", PROJECT / "template.yaml")
        account = Account(environment)
        account_id = account.check_credentials()
        state = state_place(environment, account.region)
        variables = broker_variables(account, environment)
        check_reachable(variables["management_url"])
    except InputMissingError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Applying the topology of {environment.name}, account {account_id}, to {variables['management_url']}.")
    unsaved = PROJECT / ROOT / f"{environment.name}.{UNSAVED_STATE}"
    return apply(variables, state, unsaved, asks=sys.stdin.isatty())


def state_place(environment: Environment, region: str) -> list[str]:
    """Return the `init` arguments that locate the state. Raises InputMissingError without Terraform or a bucket."""
    if shutil.which("terraform") is None:
        raise InputMissingError("Terraform is missing: install it, 1.11 or newer (developer.hashicorp.com/terraform).")
    bucket = os.environ.get("TERRAFORM_STATE_BUCKET", "")
    if not bucket:
        raise InputMissingError(
            "The bucket of Terraform's state is not set: export TERRAFORM_STATE_BUCKET, the bucket of the platform."
        )
    place = {"bucket": bucket, "key": f"paybridge/{environment.name}/topology.tfstate", "region": region}
    return [f"-backend-config={name}={value}" for name, value in place.items()]


def broker_variables(account: Account, environment: Environment) -> dict[str, str]:
    """Return the module's variables: the broker's address from SSM and the logins from Secrets Manager.

    BROKER_MANAGEMENT_URL overrides the address, for example with a tunnel's. Raises InputMissingError.
    """
    known = account.known(MANAGEMENT_URL, ADMIN, FUNCTIONS)
    missing = [environment.ssm_prefix + name for name in (MANAGEMENT_URL, ADMIN, FUNCTIONS) if name not in known]
    if missing:
        raise InputMissingError(
            f"{account.region} has no SSM parameter {', '.join(missing)}: apply infra/terraform/platform with "
            f"environment={environment.name} first (docs/operators/platform.md)."
        )
    admin, functions = account.login(known[ADMIN]), account.login(known[FUNCTIONS])
    return {
        "management_url": os.environ.get("BROKER_MANAGEMENT_URL") or known[MANAGEMENT_URL],
        "management_username": admin["username"],
        "management_password": admin["password"],
        "functions_username": functions["username"],
        "functions_password": functions["password"],
        "vhost": environment.parameters["BrokerVirtualHost"],
    }


def check_reachable(management_url: str) -> None:
    """Raise InputMissingError if nothing answers at this URL. Terraform would only fail resource by resource."""
    try:
        httpx.get(management_url, timeout=CONNECT_SECONDS_MAX, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputMissingError(
            f"The broker does not answer at {management_url} ({error}). It is in private subnets: run this from "
            "there, or open a tunnel and set BROKER_MANAGEMENT_URL to its address (docs/operators/operations.md)."
        ) from error


def apply(variables: Mapping[str, str], state: list[str], unsaved: Path, *, asks: bool) -> int:
    """Apply a copy of the module with Terraform and return its exit status. `asks`: Terraform may ask for approval.

    If Terraform cannot save its state, keep the state in the file `unsaved`. The next run pushes it first.
    """
    environment = {**os.environ, **{f"TF_VAR_{name}": value for name, value in variables.items()}}
    without_asking = [] if asks else ["-auto-approve", "-input=false"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(
            PROJECT / "infra", Path(folder, "infra"), ignore=shutil.ignore_patterns(".terraform", "*.tfstate*")
        )
        root = Path(folder, ROOT)
        (root / "backend.tf").write_text(BACKEND, encoding="utf-8")
        status = run_to_its_end(["terraform", "init", "-input=false", *state], root, environment)
        if status == 0 and unsaved.exists():
            status = run_to_its_end(["terraform", "state", "push", str(unsaved)], root, environment)
            if status == 0:
                unsaved.unlink()
        if status == 0:
            status = run_to_its_end(["terraform", "apply", *without_asking], root, environment)
            if (root / UNSAVED_STATE).exists():
                # The temporary copy of the module is about to be deleted.
                shutil.move(root / UNSAVED_STATE, unsaved)
                print(
                    f"Terraform could not save its state. {unsaved} has it, with passwords: run this again.",
                    file=sys.stderr,
                )
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
