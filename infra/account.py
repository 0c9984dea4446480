"""What has to be in the AWS account before the functions can be deployed to it; every check says what to do."""

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
# SSM answers for so many names at once.
SSM_NAMES_MAX = 10
# What Lambda keeps for functions without a reservation; a new account may have no more than this, or even less.
UNRESERVED_MIN = 100
# Of the instance and not of its proxy; the functions refuse the same (paybridge.wiring.settings).
_RDS_ENDPOINT = re.compile(r"^(?!.*\.proxy-).*\.rds\.(.+\.)?amazonaws\.com")
# A stack that nothing can be deployed to: it is being changed, or its creation failed.
_UNFIT = re.compile(r".*_IN_PROGRESS|ROLLBACK_COMPLETE|.*ROLLBACK_FAILED|DELETE_FAILED")


class Account:
    """One account and region, reached by the machine's own credentials or the endpoint of AWS_ENDPOINT_URL."""

    def __init__(self, environment: Environment) -> None:
        """Raises InputMissingError without a region."""
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
                "No AWS region is set: export AWS_REGION, such as AWS_REGION=eu-central-1, or name a profile that has "
                "one by AWS_PROFILE."
            )

    def check_credentials(self) -> str:
        """The account's number. Raises InputMissingError when AWS does not know who asks."""
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except NoCredentialsError as error:
            raise InputMissingError(
                "There are no AWS credentials: sign in (`aws sso login`) and name the profile by AWS_PROFILE."
            ) from error
        except (CredentialRetrievalError, PartialCredentialsError, SSOError, TokenRetrievalError) as error:
            raise InputMissingError(f"The AWS credentials cannot be used: {error}") from error
        except ClientError as error:
            reason = error.response["Error"]["Code"]
            raise InputMissingError(
                f"AWS refuses the credentials ({reason}): sign in again, such as by `aws sso login`."
            ) from error
        except (BotoCoreError, ValueError) as error:
            # An endpoint that is no URL is a plain ValueError.
            raise InputMissingError(
                f"AWS does not answer ({error}): check the network, AWS_REGION and AWS_ENDPOINT_URL."
            ) from error

    def read_parameters(self) -> dict[str, str]:
        """The values of the template's parameters that are kept in SSM, by the template's names.

        Raises InputMissingError that names what is missing.
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
        """Raises InputMissingError where the functions would refuse the database's certificate when they start."""
        parameters = self._environment.parameters
        wanting = [name for name, value in parameters.items() if value == RDS_CERTIFICATES]
        if wanting and not has_bundle:
            raise InputMissingError(
                f"{wanting[0]} is {RDS_CERTIFICATES}, which the package lacks: run `make certificates package`."
            )
        if _RDS_ENDPOINT.search(host) and parameters["DatabaseTlsCaFile"] != RDS_CERTIFICATES:
            raise InputMissingError(
                f"The database is RDS without a proxy ({host}), whose authorities only {RDS_CERTIFICATES} has: add "
                f'"DatabaseTlsCaFile={RDS_CERTIFICATES}" to {self._environment.name} in samconfig.toml.'
            )

    def check_stack(self) -> None:
        """Raises InputMissingError when CloudFormation would refuse to change the stack."""
        stack = self._environment.stack_name
        try:
            [found] = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        except ClientError:
            # There is none yet, or who asks may not look; CloudFormation will say which.
            return
        except BotoCoreError as error:
            raise InputMissingError(f"CloudFormation does not answer: {error}") from error
        status = found["StackStatus"]
        if _UNFIT.fullmatch(status):
            raise InputMissingError(
                f"The stack {stack} is {status}: wait for its end if it is being changed, delete it if its creation "
                f"failed (`sam delete --stack-name {stack} --region {self.region}`)."
            )

    def check_concurrency(self, reserved: Mapping[str, int]) -> None:
        """Raises InputMissingError when Lambda would refuse what the functions reserve, by their names."""
        client = self.client("lambda")
        try:
            unreserved = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
            held = sum(_reserved_by(client, name) for name in reserved)
        except (BotoCoreError, ClientError):
            # Who asks may not look, or the endpoint has no such limit; Lambda will say it.
            return
        wanted, free = sum(reserved.values()), unreserved + held - UNRESERVED_MIN
        if wanted > free:
            raise InputMissingError(
                f"The functions reserve {wanted} concurrent executions and {self.region} has {max(free, 0)} to give, "
                f"because Lambda keeps {UNRESERVED_MIN} for functions without a reservation: ask for a higher "
                '"Concurrent executions" of AWS Lambda in Service Quotas, or lower ApiReservedConcurrency.'
            )

    def known(self, *names: str) -> Mapping[str, str]:
        """What SSM has of these names, which are without the environment's prefix; it may be none of them."""
        prefix = self._environment.ssm_prefix
        return {
            name.removeprefix(prefix): value for name, value in self._ssm([prefix + name for name in names]).items()
        }

    def login(self, secret_id: str) -> dict[str, str]:
        """Username and password in a secret. Raises InputMissingError, which repeats nothing of what is in it."""
        try:
            text = self.client("secretsmanager").get_secret_value(SecretId=secret_id).get("SecretString", "")
        except (BotoCoreError, ClientError) as error:
            raise InputMissingError(f"The secret {secret_id} cannot be read: {error}") from error
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict) or not {"username", "password"} <= content.keys():
            raise InputMissingError(f"The secret {secret_id} needs a username and a password: put them into it.")
        return {name: str(content[name]) for name in ("username", "password")}

    def client(self, service: str, patience: Config = PATIENCE) -> Any:
        """A client that gives up in seconds: somebody waits in a terminal."""
        return self._session.client(service, region_name=self.region, config=patience)

    def _ssm(self, names: list[str]) -> dict[str, str]:
        client = self.client("ssm")
        found: dict[str, str] = {}
        for start in range(0, len(names), SSM_NAMES_MAX):
            try:
                answer = client.get_parameters(Names=names[start : start + SSM_NAMES_MAX])
            except (BotoCoreError, ClientError) as error:
                raise InputMissingError(f"The SSM parameters cannot be read: {error}") from error
            found.update((one["Name"], one["Value"]) for one in answer["Parameters"])
        return found


def _reserved_by(client: Any, function: str) -> int:
    try:
        return int(client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0))
    except client.exceptions.ResourceNotFoundException:
        return 0
