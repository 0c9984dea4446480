"""`make topology ENVIRONMENT=…`: applies infra/terraform/topology to an environment's broker, with its logins."""

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
# What Terraform calls the state that it could not save.
UNSAVED_STATE = "errored.tfstate"
# Added to the copy that is applied, so that the module itself can be applied with a state anywhere.
BACKEND = 'terraform {\n  backend "s3" {\n    encrypt      = true\n    use_lockfile = true\n  }\n}\n'


def main(arguments: list[str]) -> int:
    """Returns the exit status; the first thing that is missing is one sentence on standard error."""
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
    """Where Terraform's state is, as arguments of `init`. Raises InputMissingError without a bucket, or Terraform."""
    if shutil.which("terraform") is None:
        raise InputMissingError("Terraform is missing: install it, 1.11 or newer (developer.hashicorp.com/terraform).")
    bucket = os.environ.get("TERRAFORM_STATE_BUCKET", "")
    if not bucket:
        raise InputMissingError(
            "Say where Terraform keeps its state: export TERRAFORM_STATE_BUCKET, the bucket that the platform's is in."
        )
    place = {"bucket": bucket, "key": f"paybridge/{environment.name}/topology.tfstate", "region": region}
    return [f"-backend-config={name}={value}" for name, value in place.items()]


def broker_variables(account: Account, environment: Environment) -> dict[str, str]:
    """The module's variables: the broker's address from SSM and the logins from Secrets Manager.

    BROKER_MANAGEMENT_URL stands in for the address, such as that of a tunnel. Raises InputMissingError.
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
    """Raises InputMissingError when nobody answers there, before Terraform tries it resource by resource."""
    try:
        httpx.get(management_url, timeout=CONNECT_SECONDS_MAX, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputMissingError(
            f"The broker does not answer at {management_url} ({error}): it is in private subnets, so run this "
            "from there, or by a tunnel whose address BROKER_MANAGEMENT_URL names (docs/operators/operations.md)."
        ) from error


def apply(variables: Mapping[str, str], state: list[str], unsaved: Path, *, asks: bool) -> int:
    """Has Terraform apply a copy of the module; without somebody to ask it goes on by itself. Gives its exit status.

    A state that Terraform cannot save is kept in the file `unsaved`, and saved before anything else the next time.
    """
    environment = {**os.environ, **{f"TF_VAR_{name}": value for name, value in variables.items()}}
    without_asking = [] if asks else ["-auto-approve", "-input=false"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(
            PROJECT / "infra", Path(folder, "infra"), ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
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
                # It would go with the copy of the module.
                shutil.move(root / UNSAVED_STATE, unsaved)
                print(f"The state is not saved but in {unsaved}, passwords included: run this again.", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
