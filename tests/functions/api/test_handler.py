"""The Lambda entry: the start of an environment, and answers in the form that API Gateway takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from api import handler as entry
from local.testkit.api import ApiClient
from paybridge.core.errors import SecretUnavailable
from paybridge.observability.logging import logger


@pytest.fixture
def fresh_environment() -> Iterator[None]:
    """Provide an environment that has not started yet."""
    entry._environment_handler.cache_clear()
    yield
    entry._environment_handler.cache_clear()


class TestHandler:
    @pytest.mark.usefixtures("fresh_environment")
    def test_unreadable_settings_are_a_503_and_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise ConnectionError("secretsmanager password")

        monkeypatch.setattr(entry, "api_services", fail)
        for _ in range(2):
            answer = ApiClient(entry.handler).get("/health")
            assert (answer.status, answer.json()["code"]) == (503, "service_unavailable")
            assert answer.headers["retry-after"] == "1"
            assert b"password" not in answer.body

    @pytest.mark.usefixtures("fresh_environment")
    def test_the_log_names_the_cause_of_a_failed_start_and_no_secret(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail() -> None:
            raise SecretUnavailable("GetSecretValue of the secret arn:1 failed.") from ConnectionError("password")

        monkeypatch.setattr(entry, "api_services", fail)
        monkeypatch.setattr(entry, "_logger", lambda: logger("api-start", sys.stdout))
        ApiClient(entry.handler).get("/health")
        line = json.loads(capsys.readouterr().out)
        assert line["cause"] == "GetSecretValue of the secret arn:1 failed: ConnectionError"
        assert "password" not in json.dumps(line)

    def test_problems_are_text_for_api_gateway(self, client: ApiClient) -> None:
        response = client._handler({**_event("/nowhere")}, None)
        assert response["isBase64Encoded"] is False
        assert json.loads(response["body"])["status"] == 404


def _event(path: str) -> dict[str, object]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"}, "requestId": "r"},
        "isBase64Encoded": False,
    }
