"""AWS Secrets Manager: the one place that reads and writes secrets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import orjson

from paybridge.core.causes import cause_of
from paybridge.core.errors import RotationRefused, SecretUnavailable, SettingsInvalid
from paybridge.secrets.ports import CURRENT, PENDING, Login

# A call takes 6 s at worst: two attempts of 3 s each. A rotation's createSecret makes the most calls, eight for the
# broker: 48 s of the 60 s of rotate. A request to the API makes two after a refused login, three on a cold start,
# and one more where Valkey has a login: 24 s of its 29 s.
CONNECT_SECONDS_MAX = 1
READ_SECONDS_MAX = 2
ATTEMPTS_MAX = 2


class SecretMissing(SecretUnavailable):
    """There is no such secret, or no such version of it."""


class SecretsManager:
    """A client, made on first use. Every method raises SecretUnavailable if Secrets Manager refuses or is down."""

    def read_login(self, secret_id: str, stage: str) -> Login:
        """Return the login at a stage of the secret. Raises SettingsInvalid if there is something else."""
        return login_in(self.read(secret_id, VersionStage=stage))

    def read(self, secret_id: str, **version: str) -> dict[str, Any]:
        """Return the JSON of a version, which holds a login. Raises SecretMissing, or SettingsInvalid without one."""
        answer = self.call("get_secret_value", secret_id, **version)
        try:
            content = orjson.loads(answer.get("SecretString") or answer.get("SecretBinary", b""))
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict) or not {"username", "password"} <= content.keys():
            raise SettingsInvalid(f"The secret {secret_id} needs a username and a password.")
        return content

    def read_text(self, secret_id: str) -> str:
        """Return the text of the current version. Raises SettingsInvalid if it holds none."""
        text = self.call("get_secret_value", secret_id).get("SecretString", "").strip()
        if not text:
            raise SettingsInvalid(f"The secret {secret_id} needs a text.")
        return str(text)

    def read_member(self, secret_id: str, member: str) -> str:
        """Return a text in the JSON of the current version. Raises SettingsInvalid if it holds none."""
        try:
            content = orjson.loads(self.read_text(secret_id))
        except orjson.JSONDecodeError:
            content = None
        text = content.get(member) if isinstance(content, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise SettingsInvalid(f"The secret {secret_id} needs JSON with the text {member}.")
        return text.strip()

    def call(self, operation: str, secret_id: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer of an operation on the secret. Raises SecretMissing if there is no such thing."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(SecretId=secret_id, **parameters)
        except (BotoCoreError, ClientError) as error:
            version = parameters.get("VersionStage") or parameters.get("VersionId") or CURRENT
            raise _unavailable(f"{operation} of the secret {secret_id} at {version}", error) from error
        return answer

    @cached_property
    def _client(self) -> Any:
        # boto3 takes a tenth of a second to import, which functions without a secret can do without.
        import boto3
        from botocore.config import Config

        retries = {"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"}
        config = Config(connect_timeout=CONNECT_SECONDS_MAX, read_timeout=READ_SECONDS_MAX, retries=retries)
        return boto3.client("secretsmanager", config=config)


class AwsSecretVersions:
    """SecretVersions of the secret with this ARN."""

    def __init__(self, secret_id: str) -> None:
        self._secret_id = secret_id
        self._secrets = SecretsManager()

    def stages(self) -> Mapping[str, list[str]]:
        """Return the stages of each version by its id. Raises RotationRefused if the secret does not rotate."""
        described = self._secrets.call("describe_secret", self._secret_id)
        if not described.get("RotationEnabled"):
            raise RotationRefused(
                f"The secret {self._secret_id} is not set up to rotate: deploy with SecretRotationDays above 0."
            )
        stages: Mapping[str, list[str]] = described["VersionIdsToStages"]
        return stages

    def login_of(self, version: str) -> Login | None:
        """Return the login in the version. None if it is empty, as after RotateSecret."""
        content = self._content(version)
        return None if content is None else login_in(content)

    def keep_pending(self, version: str, login: Login) -> None:
        """Keep the login in the version at AWSPENDING, with everything else that the current version holds."""
        content = {**(self._content(self._current()) or {}), "username": login.username, "password": login.password}
        self._secrets.call(
            "put_secret_value",
            self._secret_id,
            ClientRequestToken=version,
            SecretString=orjson.dumps(content).decode(),
            VersionStages=[PENDING],
        )

    def make_current(self, version: str) -> None:
        """Move AWSCURRENT to the version. Secrets Manager then moves AWSPREVIOUS and AWSPENDING itself."""
        self._secrets.call(
            "update_secret_version_stage",
            self._secret_id,
            VersionStage=CURRENT,
            MoveToVersionId=version,
            RemoveFromVersionId=self._current(),
        )

    def _current(self) -> str:
        [current] = [version for version, stages in self.stages().items() if CURRENT in stages]
        return current

    def _content(self, version: str) -> dict[str, Any] | None:
        try:
            return self._secrets.read(self._secret_id, VersionId=version)
        except SecretMissing:
            return None
        except SettingsInvalid as error:
            raise RotationRefused(str(error)) from error


def login_in(content: Mapping[str, Any]) -> Login:
    """Return the login in a secret's JSON."""
    return Login(str(content["username"]), str(content["password"]))


def _unavailable(call: str, error: Exception) -> SecretUnavailable:
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    kind = SecretMissing if code == "ResourceNotFoundException" else SecretUnavailable
    # AWS's text names operation, secret and caller, never what is in the secret.
    return kind(f"{call} failed: {cause_of(error)}.")
