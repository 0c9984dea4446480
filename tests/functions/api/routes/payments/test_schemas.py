"""The fields of payments in requests and answers."""

from __future__ import annotations

import uuid
from dataclasses import fields
from datetime import UTC, datetime

from api.routes.payments.schemas import PaymentState, PaymentView
from paybridge.intake.payment_request import PaymentDetails, PaymentRequest, payment_details
from paybridge.payments.domain.payment import PaymentOrder, new_payment, payment_view

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class TestPaymentView:
    def test_has_the_fields_of_every_answer(self) -> None:
        order = PaymentOrder(amount_minor=100, currency="RUB")
        payment = new_payment(order, id_=uuid.uuid4(), merchant_id=uuid.uuid4(), correlation_id="c", now=NOW)
        assert set(PaymentView.model_fields) == set(payment_view(payment))

    def test_returns_every_detail_without_its_rules(self) -> None:
        schema = PaymentView.model_json_schema()
        assert schema["properties"]["customer"] == {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "title": "Customer",
        }
        assert set(schema["required"]) == set(PaymentState.model_fields) | set(PaymentDetails.model_fields)


class TestDetails:
    def test_are_the_fields_of_an_order_beside_its_amount(self) -> None:
        assert set(PaymentDetails.model_fields) == {field.name for field in fields(PaymentOrder)} - {
            "amount_minor",
            "currency",
        }

    def test_come_by_name(self) -> None:
        request = PaymentRequest(amount="1.00", currency="RUB", customer="customer-42")
        absent = dict.fromkeys(PaymentDetails.model_fields) | {"capture": "automatic"}
        assert payment_details(request) == absent | {"customer": "customer-42"}
