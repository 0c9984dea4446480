"""The log of requests and defects."""

from __future__ import annotations

import io
import json

import pytest
from aws_lambda_powertools import Logger

from api.app import create_app
from api.handler import ApiHandler
from local.testkit.api import MERCHANT_KEY, ORDER, ApiClient, api_services
from paybridge.database.database import Database
from tests.support.metrics import of, read_line


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

    def test_the_line_of_an_accepted_payment_counts_it(self, database: Database, client: ApiClient) -> None:
        [line] = self.lines(database)
        assert read_line(line) == [("PaymentsAccepted", of("test"), [1])]
        [refused] = self.lines(database, {**ORDER, "unknown": 1})
        assert "_aws" not in refused

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
        assert "test_middleware.py" in str(defect["stack"])
        assert "4111111111111111" not in json.dumps(defect)
