"""The signing secrets of gateways, in the AWS fake."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from paybridge.core.errors import SecretUnavailable, SettingsInvalid
from paybridge.secrets.signing_secrets import READ_AGAIN_SECONDS_MIN, SigningSecrets


@pytest.fixture
def secret_id(secrets_manager: Any) -> str:
    return str(secrets_manager.create_secret(Name=f"signing-{uuid4()}", SecretString=" one \n two ")["ARN"])


class Watch:
    """A clock that the test moves."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_several_are_separated_by_white_space(secret_id: str) -> None:
    assert SigningSecrets(secret_id).kept() == ("one", "two")


def test_a_change_is_found_and_kept(secrets_manager: Any, secret_id: str) -> None:
    watch = Watch()
    secrets = SigningSecrets(secret_id, watch)
    assert secrets.kept() == ("one", "two")
    secrets_manager.put_secret_value(SecretId=secret_id, SecretString="three")
    watch.seconds += READ_AGAIN_SECONDS_MIN
    assert secrets.changed() == ("three",)
    assert secrets.kept() == ("three",)


def test_wrong_signatures_do_not_make_us_ask_all_the_time(secrets_manager: Any, secret_id: str) -> None:
    watch = Watch()
    secrets = SigningSecrets(secret_id, watch)
    assert secrets.kept() == ("one", "two")
    secrets_manager.put_secret_value(SecretId=secret_id, SecretString="three")
    watch.seconds += READ_AGAIN_SECONDS_MIN - 1
    assert secrets.changed() == ()
    watch.seconds += 1
    assert secrets.changed() == ("three",)
    # The same secrets again are no reason to try again.
    watch.seconds += READ_AGAIN_SECONDS_MIN
    assert secrets.changed() == ()


def test_an_empty_secret_is_named(secrets_manager: Any, secret_id: str) -> None:
    secrets_manager.put_secret_value(SecretId=secret_id, SecretString=" ")
    with pytest.raises(SettingsInvalid, match=secret_id):
        SigningSecrets(secret_id).kept()


def test_a_missing_secret_is_named() -> None:
    with pytest.raises(SecretUnavailable, match="missing"):
        SigningSecrets("missing").kept()
