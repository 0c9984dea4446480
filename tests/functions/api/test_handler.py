"""The Lambda entry: the start of an environment, and answers in the form that API Gateway takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

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

    @pytest.mark.usefixtures("fresh_environment")
    def test_a_warm_up_that_cannot_start_the_environment_is_answered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(entry, "api_services", lambda: 1 / 0)
        assert entry.handler([], None)["statusCode"] == 503

    @pytest.mark.parametrize(
        "event",
        [
            {},
            None,
            [],
            "ping",
            {"key1": "value1", "key2": "value2", "key3": "value3"},
            {"Event": {"source": "serverless-plugin-warmup"}},
            {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
            {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "x"}}]},
            {"Records": [{"cf": {"request": {}}}]},
            {"requestContext": None, "version": "2.0"},
            {"requestContext": {"connectionId": "x", "eventType": "CONNECT"}},
        ],
    )
    def test_an_event_that_is_no_http_request_is_answered(self, client: ApiClient, event: object) -> None:
        answer = client.send(event)
        assert (answer.status, answer.json()["code"]) == (400, "not_an_http_request")

    @pytest.mark.parametrize(
        "without",
        ["headers", "rawQueryString", "rawPath", "isBase64Encoded", "routeKey", "sourceIp", "protocol", "requestId"],
    )
    def test_a_request_that_lacks_what_no_answer_needs_is_served(self, client: ApiClient, without: str) -> None:
        event = _event("/health")
        for part in (event, event["requestContext"], event["requestContext"]["http"]):
            part.pop(without, None)
        assert client.send(event).status == 200

    @pytest.mark.parametrize(
        "change", [{"headers": None}, {"rawQueryString": None}, {"cookies": None}, {"cookies": ["a=1"]}, {"body": None}]
    )
    def test_a_request_with_nulls_is_served(self, client: ApiClient, change: dict[str, Any]) -> None:
        assert client.send({**_event("/health"), **change}).status == 200

    @pytest.mark.parametrize(
        "change",
        [
            {"requestContext": {}},
            {"requestContext": {"http": {}}},
            {"requestContext": {"http": "GET"}},
            {"requestContext": {"http": {"method": ["GET"], "path": "/health"}}},
            {"headers": {"x": 1}},
            {"body": {"amount": "1.00"}},
            {"body": "a", "isBase64Encoded": True},
            {"body": 7},
        ],
    )
    def test_a_request_that_cannot_be_read_is_a_400(self, client: ApiClient, change: dict[str, Any]) -> None:
        answer = client.send({**_event("/health"), **change})
        assert (answer.status, answer.json()["code"]) == (400, "request_malformed")

    def test_other_shapes_of_http_are_served(self, client: ApiClient) -> None:
        rest = {
            "resource": "/health",
            "path": "/health",
            "httpMethod": "GET",
            "headers": {"Host": "[::1]:8000", "X-Forwarded-Port": "x"},
            "multiValueHeaders": {"Host": ["[::1]:8000"], "X-Forwarded-Port": ["x"]},
            "queryStringParameters": None,
            "requestContext": {"stage": "prod"},
            "body": None,
        }
        balancer = {"requestContext": {"elb": {}}, "httpMethod": "GET", "path": "/health", "headers": {"host": "[::1]"}}
        for event in (rest, {**rest, "version": "1.0"}, {**rest, "headers": None}, balancer):
            assert client.send(event).json()["status"] == "ok"

    def test_a_payment_may_come_by_a_rest_api(self, client: ApiClient) -> None:
        event = {
            "resource": "/{proxy+}",
            "path": "/api/v1/payments",
            "httpMethod": "POST",
            "multiValueHeaders": {"X-API-Key": ["secret-api-key"], "Idempotency-Key": ["by-rest"]},
            "requestContext": {"requestId": "r"},
            "body": '{"amount": "1.00", "currency": "EUR"}',
        }
        assert client.send(event).status == 202

    def test_problems_are_text_for_api_gateway(self, client: ApiClient) -> None:
        response = client._handler({**_event("/nowhere")}, None)
        assert response["isBase64Encoded"] is False
        assert json.loads(response["body"])["status"] == 404


def _event(path: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"}, "requestId": "r"},
        "isBase64Encoded": False,
    }
