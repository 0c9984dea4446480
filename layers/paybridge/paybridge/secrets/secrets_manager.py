"""The versions of one secret in AWS Secrets Manager, for its rotation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from paybridge.core.errors import RotationRefused, SecretUnavailable
from paybridge.secrets.ports import CURRENT, PENDING, Login

# Four calls at most in a step, which together stay below the function's time.
_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 3, "mode": "standard"})
_MISSING = frozenset({"ResourceNotFoundException"})


class AwsSecretVersions:
    """SecretVersions of the secret with this ARN."""

    def __init__(self, secret_id: str) -> None:
        self._secret_id = secret_id
        self._client = boto3.client("secretsmanager", config=_CONFIG)

    def stages(self) -> Mapping[str, list[str]]:
        """The stages of each version by its id; raises RotationRefused when the secret does not rotate."""
        described = self._call("describe_secret")
        if not described.get("RotationEnabled"):
            raise RotationRefused(
                f"The secret {self._secret_id} is not set up to rotate: deploy with SecretRotationDays above 0."
            )
        stages: Mapping[str, list[str]] = described["VersionIdsToStages"]
        return stages

    def login_of(self, version: str) -> Login | None:
        """The login in the version; None when it is empty, as a version is that RotateSecret has just made."""
        content = self._content(version)
        return None if content is None else Login(str(content["username"]), str(content["password"]))

    def keep_pending(self, version: str, login: Login) -> None:
        """Keeps the login in the version at AWSPENDING; what else the current version holds stays beside it."""
        [current] = [one for one, stages in self.stages().items() if CURRENT in stages]
        content = {**(self._content(current) or {}), "username": login.username, "password": login.password}
        self._call(
            "put_secret_value",
            ClientRequestToken=version,
            SecretString=orjson.dumps(content).decode(),
            VersionStages=[PENDING],
        )

    def make_current(self, version: str) -> None:
        """Moves AWSCURRENT to the version; AWSPREVIOUS and AWSPENDING are then Secrets Manager's own business."""
        [current] = [one for one, stages in self.stages().items() if CURRENT in stages]
        self._call(
            "update_secret_version_stage",
            VersionStage=CURRENT,
            MoveToVersionId=version,
            RemoveFromVersionId=current,
        )

    def _content(self, version: str) -> dict[str, Any] | None:
        try:
            text = self._client.get_secret_value(SecretId=self._secret_id, VersionId=version).get("SecretString", "")
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise self._unavailable(error) from error
        except BotoCoreError as error:
            raise self._unavailable(error) from error
        try:
            content = orjson.loads(text)
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict) or not {"username", "password"} <= content.keys():
            raise RotationRefused(f"The secret {self._secret_id} needs a username and a password.")
        return content

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(SecretId=self._secret_id, **parameters)
        except (BotoCoreError, ClientError) as error:
            raise self._unavailable(error) from error
        return answer

    def _unavailable(self, error: BotoCoreError | ClientError) -> SecretUnavailable:
        # The text of these errors names the operation and the secret, never what is in it.
        return SecretUnavailable(f"Secrets Manager refuses or is away: {error}")
