"""The Lambda entry: start, malformed events and the log."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from aws_lambda_powertools import Logger

from api import handler as entry
from api.app import create_app
from api.handler import ApiHandler
from local.testkit.api import MERCHANT_KEY, ORDER, ApiClient, api_services
from paybridge.database.database import Database


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

    def test_problems_are_text_for_api_gateway(self, client: ApiClient) -> None:
        response = client._handler({**_event("/nowhere")}, None)
        assert response["isBase64Encoded"] is False
        assert json.loads(response["body"])["status"] == 404


class TestLog:
    def lines(self, database: Database, order: object = ORDER) -> list[dict[str, object]]:
        """Return the log lines of creating one payment."""
        stream = io.StringIO()
        logger = Logger(service=f"api-{id(stream)}", level="INFO", stream=stream)
        client = ApiClient(ApiHandler(create_app(api_services(database), logger), logger))
        client.create(order, headers={"x-correlation-id": "from-the-shop-43"})
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    def test_one_line_for_a_request_with_its_correlation_id(self, database: Database, client: ApiClient) -> None:
        [line] = self.lines(database)
        assert line["correlation_id"] == "from-the-shop-43"
        assert (line["method"], line["route"], line["status"]) == ("POST", "/api/v1/payments", 202)

    def test_neither_the_key_nor_the_body_is_logged(self, database: Database, client: ApiClient) -> None:
        order = {**ORDER, "description": "4111111111111111", "unknown": "4242424242424242"}
        text = json.dumps(self.lines(database, order) + self.lines(database, {**ORDER, "customer": "4111111111111111"}))
        assert "4111111111111111" not in text
        assert "4242424242424242" not in text
        assert MERCHANT_KEY not in text

    def test_a_defect_is_logged_with_its_stack_and_without_its_message(
        self, database: Database, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("Failing row contains (4111111111111111)")

        monkeypatch.setattr("api.routes.payments.routes.create_payment", fail)
        defect, request = self.lines(database)
        assert (defect["error_type"], request["status"]) == ("RuntimeError", 500)
        assert "test_handler.py" in str(defect["stack"])
        assert "4111111111111111" not in json.dumps(defect)


def _event(path: str) -> dict[str, object]:
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"http": {"method": "GET", "path": path, "sourceIp": "127.0.0.1"}, "requestId": "r"},
        "isBase64Encoded": False,
    }
