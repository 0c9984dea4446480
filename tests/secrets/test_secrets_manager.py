"""Reading logins from Secrets Manager, and how long its calls take at worst."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from local.servers.processes import free_port
from paybridge.core.errors import SecretUnavailable, SettingsInvalid
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


class Refusing(BaseHTTPRequestHandler):
    """A Secrets Manager that refuses every call, in AWS's words about the key of a secret."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"__type": "AccessDeniedException", "Message": "Access to KMS is not allowed"}'
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ):
        monkeypatch.setenv(name, value)
    return monkeypatch


class TestFailures:
    """What the first start on AWS meets: each sentence names the secret and the cause."""

    def test_a_refusal_names_the_right_that_is_missing(self, account: pytest.MonkeyPatch) -> None:
        with HTTPServer(("127.0.0.1", 0), Refusing) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            account.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
            with pytest.raises(SecretUnavailable) as caught:
                SecretsManager().read_login("arn:one", CURRENT)
            server.shutdown()
            thread.join()
        sentence = "get_secret_value of the secret arn:one at AWSCURRENT failed: AccessDeniedException (kms:Decrypt)."
        assert str(caught.value) == sentence

    def test_an_endpoint_without_a_route_is_named(self, account: pytest.MonkeyPatch) -> None:
        account.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(SecretUnavailable, match="the secret arn:one at AWSCURRENT failed: EndpointConnectionError"):
            SecretsManager().read_login("arn:one", CURRENT)

    def test_a_missing_secret_and_a_missing_version_are_named(self, secrets_manager: Any) -> None:
        with pytest.raises(SecretUnavailable, match=r"the secret none at AWSCURRENT failed: ResourceNotFoundException"):
            SecretsManager().read_login("none", CURRENT)
        arn = secrets_manager.create_secret(Name="login", SecretString=LOGIN)["ARN"]
        with pytest.raises(SecretUnavailable, match=f"{arn} at {PENDING} failed: ResourceNotFoundException"):
            SecretsManager().read_login(arn, PENDING)


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
