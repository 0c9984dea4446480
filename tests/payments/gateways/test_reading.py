"""What refusals, look-ups and odd bodies say, without HTTP."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.decline_codes import failure_message_of
from paybridge.payments.domain.gateway_answers import (
    Declined,
    GatewayAnswer,
    NotFound,
    PartlyApproved,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.reading import read_answer, read_look_up_answer
from paybridge.payments.ports import GatewayRequest

REQUEST = GatewayRequest(
    operation_id=uuid.UUID(int=7),
    kind=Kind.CHARGE,
    payment_id=uuid.UUID(int=7),
    amount_minor=10050,
    currency="RUB",
    currency_places=2,
    payment_method="tok_success",
    idempotency_key="7:charge",
)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

statuses = st.integers(100, 599)


def charge_answer(status: int, body: Any) -> GatewayAnswer:
    return read_answer(REQUEST, status, orjson.dumps(body), None, NOW)


class TestRefusals:
    @pytest.mark.parametrize("status", [400, 402, 422])
    @pytest.mark.parametrize(
        ("body", "failure_code", "gateway_code"),
        [
            ({"failure_code": "INSUFFICIENT_FUNDS"}, "insufficient_funds", "INSUFFICIENT_FUNDS"),
            ({"decline_code": "do-not-honor"}, "do_not_honor", "do-not-honor"),
            ({"failure_code": 51}, "insufficient_funds", "51"),
            ({"code": "Expired Card"}, "expired_card", "Expired Card"),
            ({"error": "expired_card"}, "expired_card", "expired_card"),
            (
                {"error": {"code": "card_declined", "decline_code": "insufficient_funds"}},
                "insufficient_funds",
                "insufficient_funds",
            ),
            ({"failure_code": "k-17"}, "card_declined", "k-17"),
            ({"status": "declined"}, "card_declined", None),
            ({"failure_code": "fraud_blocked"}, "fraud_blocked", "fraud_blocked"),
            ({"failure_code": "card_locked"}, "card_declined", "card_locked"),
        ],
    )
    def test_a_decline_code_is_a_decision(
        self, status: int, body: Any, failure_code: str, gateway_code: str | None
    ) -> None:
        answer = charge_answer(status, body)
        assert isinstance(answer, Declined)
        assert (answer.failure_code, answer.gateway_code) == (failure_code, gateway_code)

    @pytest.mark.parametrize("status", [400, 402, 422])
    @pytest.mark.parametrize(
        "body",
        [
            {"error": "This request is already being processed."},
            {"code": "request_in_progress"},
            {"error": {"code": "already_processed"}},
            {"failure_code": "DUPLICATE_TRANSACTION"},
            {"error": {"code": "idempotency_error"}},
        ],
    )
    def test_a_word_about_an_earlier_request_is_no_decision(self, status: int, body: Any) -> None:
        assert isinstance(charge_answer(status, body), UnderWay)

    @pytest.mark.parametrize("body", [{"code": "amount_too_small"}, {"error": {"type": "x"}}, {}, [], None, "no", 17])
    def test_without_a_decline_code_the_request_is_refused(self, body: Any) -> None:
        assert isinstance(charge_answer(422, body), RefusedRequest)

    def test_a_decline_of_another_charge_says_nothing(self) -> None:
        assert isinstance(charge_answer(402, {"reference": "another", "failure_code": "expired_card"}), Unknown)


class TestRecords:
    @pytest.mark.parametrize("status", ["declined", "failed", "canceled", "cancelled"])
    def test_a_record_that_ended_without_a_charge_is_a_decline(self, status: str) -> None:
        record = {"kind": "charge", "reference": str(REQUEST.payment_id), "status": status, "failure_code": "k-17"}
        declined = Declined("card_declined", failure_message_of("card_declined"), "k-17")
        assert [charge_answer(created, record) for created in (200, 201, 202)] == [declined] * 3
        assert read_look_up_answer(REQUEST, 200, orjson.dumps([record]), None, NOW) == declined


class TestEveryAnswer:
    @given(statuses, st.binary(max_size=50))
    def test_no_success_without_a_record_of_our_charge(self, status: int, body: bytes) -> None:
        for read in (read_answer, read_look_up_answer):
            try:
                answer = read(REQUEST, status, body, None, NOW)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            assert not isinstance(answer, Succeeded | PartlyApproved | Declined)

    @given(statuses.filter(lambda status: status not in (200, 404)))
    def test_only_404_and_a_list_say_that_a_charge_is_not_there(self, status: int) -> None:
        assert not isinstance(read_look_up_answer(REQUEST, status, b"[]", None, NOW), NotFound)

    @given(statuses.filter(lambda status: status not in (200, 201, 202, 400, 402, 422)))
    def test_only_some_statuses_can_decide(self, status: int) -> None:
        record = {"reference": str(REQUEST.payment_id), "status": "declined", "failure_code": "expired_card"}
        assert not isinstance(charge_answer(status, record), Declined | Succeeded)
