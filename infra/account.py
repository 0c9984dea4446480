"""Check that the AWS account has everything a deployment needs. Each failed check says what to do."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from infra.built import RDS_CERTIFICATES
from infra.environments import Environment
from infra.errors import InputMissingError

PATIENCE = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
# SSM reads at most this many parameters in one call.
SSM_NAMES_MAX = 10
# Lambda keeps this many executions for functions without a reservation. A new account may have no more than that.
UNRESERVED_MIN = 100
# The instance's endpoint, not the proxy's. The functions refuse the same hosts (paybridge.wiring.settings).
_RDS_ENDPOINT = re.compile(r"^(?!.*\.proxy-).*\.rds\.(.+\.)?amazonaws\.com")
# CloudFormation refuses to update a stack that is being changed, or whose creation failed.
_UNFIT = re.compile(r".*_IN_PROGRESS|ROLLBACK_COMPLETE|.*ROLLBACK_FAILED|DELETE_FAILED")


class Account:
    """An account and region, reached with this machine's credentials. AWS_ENDPOINT_URL replaces the endpoint."""

    def __init__(self, environment: Environment) -> None:
        """Open a session. Raises InputMissingError without a region."""
        self._environment = environment
        try:
            self._session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        except ProfileNotFound as error:
            raise InputMissingError(
                f"{error}: set AWS_PROFILE to one that `aws configure list-profiles` shows."
            ) from error
        except BotoCoreError as error:
            raise InputMissingError(f"The AWS configuration cannot be used: {error}") from error
        self.region = environment.region or self._session.region_name or ""
        if not self.region:
            raise InputMissingError(
                "No AWS region is set: export AWS_REGION, such as AWS_REGION=eu-central-1, or set AWS_PROFILE to a "
                "profile with a region."
            )

    def check_credentials(self) -> str:
        """Return the account's number. Raises InputMissingError if AWS does not accept the credentials."""
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except NoCredentialsError as error:
            raise InputMissingError(
                "There are no AWS credentials: sign in (`aws sso login`) and set AWS_PROFILE to the profile."
            ) from error
        except (CredentialRetrievalError, PartialCredentialsError, SSOError, TokenRetrievalError) as error:
            raise InputMissingError(f"The AWS credentials cannot be used: {error}") from error
        except ClientError as error:
            reason = error.response["Error"]["Code"]
            raise InputMissingError(
                f"AWS refuses the credentials ({reason}): sign in again, such as by `aws sso login`."
            ) from error
        except (BotoCoreError, ValueError) as error:
            # botocore raises a plain ValueError for an endpoint that is not a URL.
            raise InputMissingError(
                f"AWS does not answer ({error}): check the network, AWS_REGION and AWS_ENDPOINT_URL."
            ) from error

    def read_parameters(self) -> dict[str, str]:
        """Return the template's parameters that SSM holds, by their name in the template.

        Raises InputMissingError, which names the missing parameters.
        """
        names = self._environment.ssm_names
        found = self._ssm(sorted(set(names.values())))
        missing = sorted(set(names.values()) - found.keys())
        if missing:
            raise InputMissingError(
                f"{self.region} has no SSM parameter {', '.join(missing)}: apply infra/terraform/platform with "
                f"environment={self._environment.name} first (docs/operators/platform.md)."
            )
        return {parameter: found[name] for parameter, name in names.items()}

    def check_certificates(self, host: str, *, has_bundle: bool) -> None:
        """Raise InputMissingError if the functions would refuse the database's certificate when they start."""
        parameters = self._environment.parameters
        wanting = [name for name, value in parameters.items() if value == RDS_CERTIFICATES]
        if wanting and not has_bundle:
            raise InputMissingError(
                f"{wanting[0]} is {RDS_CERTIFICATES}, which the package lacks: run `make certificates package`."
            )
        if _RDS_ENDPOINT.search(host) and parameters["DatabaseTlsCaFile"] != RDS_CERTIFICATES:
            raise InputMissingError(
                f"The database is RDS without a proxy ({host}). Only {RDS_CERTIFICATES} has its authorities: add "
                f'"DatabaseTlsCaFile={RDS_CERTIFICATES}" to {self._environment.name} in samconfig.toml.'
            )

    def check_stack(self) -> None:
        """Raise InputMissingError if CloudFormation would refuse to change the stack."""
        stack = self._environment.stack_name
        try:
            [found] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError:
            # Either the stack does not exist yet, or these credentials may not read it. CloudFormation will say which.
            return
        except BotoCoreError as error:
            raise InputMissingError(f"CloudFormation does not answer: {error}") from error
        status = found["StackStatus"]
        if _UNFIT.fullmatch(status):
            raise InputMissingError(
                f"The stack {stack} is {status}: wait if it is being changed, or delete it if its creation "
                f"failed (`sam delete --stack-name {stack} --region {self.region}`)."
            )

    def check_concurrency(self, reserved: Mapping[str, int]) -> None:
        """Raise InputMissingError if Lambda would refuse the concurrency reserved by each named function."""
        client = self.client("lambda")
        try:
            unreserved = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
            held = sum(_reserved_by(client, name) for name in reserved)
        except (BotoCoreError, ClientError):
            # These credentials may not read the limit, or the endpoint has none. Lambda will report a real shortage.
            return
        wanted, free = sum(reserved.values()), unreserved + held - UNRESERVED_MIN
        if wanted > free:
            raise InputMissingError(
                f"The functions reserve {wanted} concurrent executions, but {self.region} has {max(free, 0)} to give: "
                f"Lambda keeps {UNRESERVED_MIN} for functions without a reservation. Raise the Lambda quota "
                '"Concurrent executions" in Service Quotas, or lower ApiReservedConcurrency.'
            )

    def known(self, *names: str) -> Mapping[str, str]:
        """Return SSM's values for these names, both without the environment's prefix. Leave out unknown names."""
        prefix = self._environment.ssm_prefix
        return {
            name.removeprefix(prefix): value for name, value in self._ssm([prefix + name for name in names]).items()
        }

    def login(self, secret_id: str) -> dict[str, str]:
        """Return username and password from a secret. Raises InputMissingError, which never quotes the secret."""
        try:
            text = self.client("secretsmanager").get_secret_value(SecretId=secret_id).get("SecretString", "")
        except (BotoCoreError, ClientError) as error:
            raise InputMissingError(f"The secret {secret_id} cannot be read: {error}") from error
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict) or not {"username", "password"} <= content.keys():
            raise InputMissingError(f"The secret {secret_id} needs a username and a password: add them to it.")
        return {name: str(content[name]) for name in ("username", "password")}

    def client(self, service: str, patience: Config = PATIENCE) -> Any:
        """Return a client that gives up within seconds, because an operator is waiting in a terminal."""
        return self._session.client(service, region_name=self.region, config=patience)

    def _ssm(self, names: list[str]) -> dict[str, str]:
        client = self.client("ssm")
        found: dict[str, str] = {}
        for start in range(0, len(names), SSM_NAMES_MAX):
            try:
                answer = client.get_parameters(Names=names[start : start + SSM_NAMES_MAX])
            except (BotoCoreError, ClientError) as error:
                raise InputMissingError(f"The SSM parameters cannot be read: {error}") from error
            found.update((parameter["Name"], parameter["Value"]) for parameter in answer["Parameters"])
        return found


def _reserved_by(client: Any, function: str) -> int:
    try:
        return int(client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0))
    except client.exceptions.ResourceNotFoundException:
        return 0
