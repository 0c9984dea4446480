"""The key of an API that we call, in the AWS fake."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from paybridge.core.errors import SecretUnavailable, SettingsInvalid
from paybridge.secrets.api_key import ApiKeyReader
from paybridge.secrets.signing_secrets import SigningSecrets

KEYS = {"api_key": " sk_test_1 ", "webhook_secret": "whsec_1 whsec_2"}


@pytest.fixture
def secret_id(secrets_manager: Any) -> str:
    return str(secrets_manager.create_secret(Name=f"keys-{uuid4()}", SecretString=json.dumps(KEYS))["ARN"])


def test_it_is_kept_until_it_is_refused(secrets_manager: Any, secret_id: str) -> None:
    reader = ApiKeyReader(secret_id)
    assert reader.read() == "sk_test_1"
    secrets_manager.put_secret_value(SecretId=secret_id, SecretString=json.dumps({"api_key": "sk_test_2"}))
    assert reader.read() == "sk_test_1"
    assert reader.read_again() == "sk_test_2"
    assert reader.read() == "sk_test_2"


def test_the_signing_secrets_are_beside_it(secret_id: str) -> None:
    assert SigningSecrets(secret_id, member="webhook_secret").kept() == ("whsec_1", "whsec_2")


@pytest.mark.parametrize("text", ["sk_test_1", "[]", "{}", '{"api_key": 1}', '{"api_key": " "}', '{"api_key": null}'])
def test_a_secret_without_it_is_named_and_not_shown(secrets_manager: Any, secret_id: str, text: str) -> None:
    secrets_manager.put_secret_value(SecretId=secret_id, SecretString=text)
    with pytest.raises(SettingsInvalid, match="api_key") as refused:
        ApiKeyReader(secret_id).read()
    assert secret_id in str(refused.value)
    assert "sk_test" not in str(refused.value)


def test_a_missing_secret_is_named() -> None:
    with pytest.raises(SecretUnavailable, match="missing"):
        ApiKeyReader("missing").read()
