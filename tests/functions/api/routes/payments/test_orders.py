"""The order in the body of POST /payments."""

from __future__ import annotations

import json

import pytest

from api.problems import Problem
from api.routes.payments.orders import parse_order
from paybridge.core.errors import InvalidInput
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.webhooks.domain.address import LOOPBACK


class TestParseOrder:
    def test_returns_the_amount_in_minor_units_and_every_detail(self) -> None:
        details = {
            "description": "Order #123",
            "metadata": {"order_id": "123"},
            "webhook_url": "http://127.0.0.1:8091/ok",
            "customer": "customer-42",
            "payment_method": "tok_success",
            "capture": "manual",
        }
        body = json.dumps({"amount": "100.50", "currency": "RUB", **details}).encode()
        order = parse_order(body, local_webhook_networks=LOOPBACK)
        assert order == PaymentOrder(amount_minor=10050, currency="RUB", **details)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"webhook_url": "http://127.0.0.1:8091/ok"}, "webhook_url_insecure"),
            ({"amount": "100.5"}, "amount_places"),
        ],
    )
    def test_refuses_what_the_domain_refuses(self, members: dict[str, str], code: str) -> None:
        body = json.dumps({"amount": "100.50", "currency": "RUB", **members}).encode()
        with pytest.raises(InvalidInput) as caught:
            parse_order(body, local_webhook_networks=())
        assert caught.value.code == code

    def test_refuses_what_the_schema_refuses(self) -> None:
        with pytest.raises(Problem) as caught:
            parse_order(b'{"amount": 100, "currency": "RUB"}', local_webhook_networks=())
        assert caught.value.code == "validation_failed"
