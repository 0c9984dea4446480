"""Reading logins from Secrets Manager."""

from __future__ import annotations

from typing import Any

import pytest

from paybridge.core.errors import SettingsInvalid
from paybridge.secrets.ports import CURRENT
from paybridge.secrets.secrets_manager import SecretsManager

LOGIN = '{"username": "paybridge", "password": "a"}'


class TestReadLogin:
    @pytest.mark.parametrize("content", [{"SecretString": LOGIN}, {"SecretBinary": LOGIN.encode()}])
    def test_takes_a_login_kept_as_text_and_as_bytes(self, secrets_manager: Any, content: dict[str, Any]) -> None:
        arn = secrets_manager.create_secret(Name="login", **content)["ARN"]
        assert SecretsManager().read_login(arn, CURRENT).username == "paybridge"

    def test_names_a_secret_that_holds_something_else(self, secrets_manager: Any) -> None:
        arn = secrets_manager.create_secret(Name="other", SecretString="[]")["ARN"]
        with pytest.raises(SettingsInvalid, match=arn):
            SecretsManager().read_login(arn, CURRENT)
