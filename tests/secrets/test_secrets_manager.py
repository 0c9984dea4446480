"""Reading logins from Secrets Manager, and how long its calls take at worst."""

from __future__ import annotations

from typing import Any

import pytest

from paybridge.core.errors import SettingsInvalid
from paybridge.secrets.ports import CURRENT, PENDING, Login
from paybridge.secrets.rotate import Rotation, rotate
from paybridge.secrets.secrets_manager import (
    ATTEMPTS_MAX,
    CONNECT_SECONDS_MAX,
    READ_SECONDS_MAX,
    AwsSecretVersions,
    SecretsManager,
)
from tests.support.secrets import Secret

LOGIN = '{"username": "paybridge", "password": "a"}'

CALL_SECONDS_MAX = ATTEMPTS_MAX * (CONNECT_SECONDS_MAX + READ_SECONDS_MAX)
# The time limits of the functions in template.yaml.
ROTATE_SECONDS = 60
API_SECONDS = 29


class AnyLogin:
    """A RotatedLogin that changes nothing."""

    def next_username(self, username: str) -> str:
        return username

    def change(self, current: Login, pending: Login) -> None:
        pass

    def test(self, login: Login) -> None:
        pass


class TestReadLogin:
    @pytest.mark.parametrize("content", [{"SecretString": LOGIN}, {"SecretBinary": LOGIN.encode()}])
    def test_takes_a_login_kept_as_text_and_as_bytes(self, secrets_manager: Any, content: dict[str, Any]) -> None:
        arn = secrets_manager.create_secret(Name="login", **content)["ARN"]
        assert SecretsManager().read_login(arn, CURRENT).username == "paybridge"

    def test_names_a_secret_that_holds_something_else(self, secrets_manager: Any) -> None:
        arn = secrets_manager.create_secret(Name="other", SecretString="[]")["ARN"]
        with pytest.raises(SettingsInvalid, match=arn):
            SecretsManager().read_login(arn, CURRENT)


class TestTimeLimits:
    def test_a_step_of_a_rotation_ends_in_time(self, secrets_manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = Secret.create(secrets_manager, "limits")
        secret.put({"username": "u", "password": "p"})
        version = secret.begin_rotation()
        calls: list[str] = []
        call = SecretsManager.call

        def counted(manager: SecretsManager, operation: str, *arguments: Any, **parameters: Any) -> dict[str, Any]:
            calls.append(operation)
            return call(manager, operation, *arguments, **parameters)

        monkeypatch.setattr(SecretsManager, "call", counted)
        rotation = Rotation(AwsSecretVersions(secret.arn), AnyLogin(), lambda: "new")
        longest = 0
        for name in ("createSecret", "setSecret", "testSecret", "finishSecret"):
            calls.clear()
            rotate(rotation, name, version)
            longest = max(longest, len(calls))
        # A step for the broker also reads the administrator's login.
        assert longest + 1 == 8
        assert (longest + 1) * CALL_SECONDS_MAX < ROTATE_SECONDS

    def test_a_request_to_the_api_reads_three_versions_in_time(self) -> None:
        stages = (CURRENT, CURRENT, PENDING)
        assert len(stages) * CALL_SECONDS_MAX < API_SECONDS
