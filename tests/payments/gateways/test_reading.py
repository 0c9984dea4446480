"""What refusals, look-ups and odd bodies say, without HTTP."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.decline_codes import failure_message_of
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    GatewayAnswer,
    LookUpAnswer,
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


OPERATION_ID = uuid.UUID(int=8)
KINDS = [Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.VOID, Kind.REFUND]
LATER = [Kind.CAPTURE, Kind.VOID, Kind.REFUND]


def a_request(kind: Kind, **changes: Any) -> GatewayRequest:
    is_first = kind in (Kind.CHARGE, Kind.AUTHORIZATION)
    operation_id = REQUEST.operation_id if is_first else OPERATION_ID
    return replace(REQUEST, kind=kind, operation_id=operation_id, **changes)


def a_record(request: GatewayRequest, **changes: Any) -> dict[str, Any]:
    return {
        "id": "gw_1",
        "reference": str(request.payment_id),
        "operation_id": str(request.operation_id),
        "kind": str(request.kind),
        "amount_minor": request.amount_minor,
        "currency": request.currency,
        "status": "succeeded",
        **changes,
    }


def hold(state: str, id_: str = "au_1") -> dict[str, Any]:
    return a_record(a_request(Kind.AUTHORIZATION), id=id_, state=state)


def found(request: GatewayRequest, *records: dict[str, Any]) -> LookUpAnswer:
    return read_look_up_answer(request, 200, orjson.dumps(records), None, NOW)


class TestOwnRecords:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_record_of_another_operation_is_not_ours(self, kind: Kind) -> None:
        request = a_request(kind)
        other = a_record(request, operation_id=str(uuid.UUID(int=9)))
        assert found(request, other) == NotFound()
        assert isinstance(read_answer(request, 201, orjson.dumps(other), None, NOW), Unknown)
        refusal = {"operation_id": str(uuid.UUID(int=9)), "failure_code": "expired_card"}
        assert isinstance(read_answer(request, 402, orjson.dumps(refusal), None, NOW), Unknown)

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_record_of_another_kind_is_not_ours(self, kind: Kind) -> None:
        request = a_request(kind)
        for other in set(KINDS) - {kind}:
            record = a_record(request, kind=str(other))
            assert not isinstance(found(request, record), Succeeded)
            assert isinstance(read_answer(request, 201, orjson.dumps(record), None, NOW), Unknown)

    def test_only_a_charge_may_name_no_operation(self) -> None:
        for kind in KINDS:
            request = a_request(kind)
            expected = Succeeded("gw_1") if kind is Kind.CHARGE else NotFound()
            assert found(request, a_record(request, operation_id=None)) == expected

    @given(
        st.sampled_from(KINDS),
        st.lists(
            st.fixed_dictionaries(
                {
                    "kind": st.sampled_from([*KINDS, Kind.REFUND_REVERSAL]),
                    "operation_id": st.sampled_from([str(REQUEST.operation_id), str(OPERATION_ID), "x", None]),
                    "status": st.sampled_from(["succeeded", "declined", "pending"]),
                    "amount_minor": st.integers(1, 20_000),
                    "state": st.sampled_from(["open", "captured", "voided", "expired"]),
                }
            ),
            max_size=6,
        ),
    )
    def test_a_success_has_a_record_of_the_operation_or_a_hold_that_is_over(
        self, kind: Kind, changes: list[dict[str, Any]]
    ) -> None:
        request = a_request(kind)
        records = [a_record(request, **each) for each in changes]
        if not isinstance(found(request, *records), Succeeded):
            return
        is_done = any(
            record["kind"] == kind
            and record["status"] == "succeeded"
            and record["operation_id"] in (str(request.operation_id), None if kind is Kind.CHARGE else "")
            for record in records
        )
        is_over = kind is Kind.VOID and any(record["kind"] == Kind.AUTHORIZATION for record in records)
        assert is_done or is_over


class TestAuthorizations:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-11-28T12:00:00.000Z", datetime(2026, 11, 28, 12, 0, tzinfo=UTC)),
            ("2026-11-28T12:00:00+00:00", datetime(2026, 11, 28, 12, 0, tzinfo=UTC)),
            ("2026-11-28T12:00:00", None),
            ("soon", None),
            (17, None),
            (None, None),
        ],
    )
    def test_the_end_of_the_hold_is_read_if_it_is_clear(self, text: Any, expected: datetime | None) -> None:
        request = a_request(Kind.AUTHORIZATION)
        assert found(request, a_record(request, expires_at=text)) == Succeeded("gw_1", expected)

    def test_one_that_has_ended_was_still_given(self) -> None:
        for state in ("captured", "voided", "expired"):
            assert isinstance(found(a_request(Kind.AUTHORIZATION), hold(state)), Succeeded)


class TestEndOfHold:
    @pytest.mark.parametrize("state", ["voided", "expired"])
    def test_a_hold_that_is_over_needs_no_void(self, state: str) -> None:
        request = a_request(Kind.VOID)
        assert found(request, hold(state)) == Succeeded("au_1")
        assert found(request, hold(state), a_record(request, status="declined")) == Succeeded("au_1")
        assert found(request, hold(state, "")) == NotFound()

    @pytest.mark.parametrize("state", ["open", "captured", "pending", "declined", None])
    def test_another_hold_is_not_voided_yet(self, state: str | None) -> None:
        request = a_request(Kind.VOID)
        assert found(request, hold(str(state))) == NotFound()
        assert found(request, {**hold(""), "state": state}) == NotFound()

    def test_only_the_hold_that_is_meant_counts(self) -> None:
        for target, expected in (("au_1", NotFound()), ("au_2", Succeeded("au_2"))):
            request = a_request(Kind.VOID, target_gateway_id=target)
            assert found(request, hold("open"), hold("expired", "au_2")) == expected

    def test_the_newest_hold_counts_where_none_is_named(self) -> None:
        request = a_request(Kind.VOID)
        assert found(request, hold("open"), hold("expired", "au_2")) == Succeeded("au_2")
        assert found(request, hold("expired"), hold("open", "au_2")) == NotFound()

    def test_a_capture_by_another_operation_is_for_a_person(self) -> None:
        request = a_request(Kind.CAPTURE)
        assert isinstance(found(request, hold("captured")), Contradictory)
        assert found(request, hold("captured"), a_record(request)) == Succeeded("gw_1")

    @pytest.mark.parametrize("state", ["open", "voided", "expired"])
    def test_a_capture_that_was_not_done_is_not_found(self, state: str) -> None:
        assert found(a_request(Kind.CAPTURE), hold(state)) == NotFound()

    @pytest.mark.parametrize("state", ["captured", "voided"])
    def test_an_end_says_nothing_about_a_refund(self, state: str) -> None:
        assert found(a_request(Kind.REFUND), hold(state)) == NotFound()


class TestReversals:
    def test_a_refund_that_was_taken_back_failed(self) -> None:
        request = a_request(Kind.REFUND)
        reversal = a_record(request, kind="refund_reversal", id="rr_1")
        taken_back = found(request, a_record(request), reversal)
        assert isinstance(taken_back, Declined)
        assert taken_back.failure_code == "refund_reversed"

    def test_the_reversal_of_another_refund_is_none_of_ours(self) -> None:
        request = a_request(Kind.REFUND)
        reversal = a_record(request, kind="refund_reversal", operation_id=str(uuid.UUID(int=9)))
        assert found(request, a_record(request), reversal) == Succeeded("gw_1")

    def test_a_reversal_says_nothing_about_the_charge(self) -> None:
        request = a_request(Kind.CHARGE)
        reversal = a_record(request, kind="refund_reversal", operation_id=str(OPERATION_ID))
        assert found(request, a_record(request), reversal) == Succeeded("gw_1")


class TestRefusalsOfLaterOperations:
    @pytest.mark.parametrize("kind", LATER)
    @pytest.mark.parametrize("code", ["refund_exceeds_charge", "amount exceeds what is left", "EXCEEDED"])
    def test_a_word_about_what_is_left_is_no_decision(self, kind: Kind, code: str) -> None:
        for body in (
            {"failure_code": code, "status": "declined"},
            {"error": {"code": code}},
        ):
            answer = read_answer(a_request(kind), 402, orjson.dumps(body), None, NOW)
            assert isinstance(answer, RefusedRequest)
            assert answer.gateway_code == code

    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION])
    def test_to_a_charge_it_speaks_of_the_card(self, kind: Kind) -> None:
        body = orjson.dumps({"failure_code": "amount_exceeds_balance"})
        answer = read_answer(a_request(kind), 402, body, None, NOW)
        assert isinstance(answer, Declined)
        assert answer.gateway_code == "amount_exceeds_balance"

    def test_a_limit_of_the_card_is_a_decision(self) -> None:
        body = orjson.dumps({"failure_code": "exceeds_withdrawal_limit"})
        for kind in KINDS:
            answer = read_answer(a_request(kind), 402, body, None, NOW)
            assert isinstance(answer, Declined)
            assert answer.failure_code == "limit_exceeded"

    @pytest.mark.parametrize(
        ("kind", "code", "ours"),
        [
            (Kind.CHARGE, "k-17", "card_declined"),
            (Kind.AUTHORIZATION, "k-17", "card_declined"),
            (Kind.CAPTURE, "k-17", "capture_declined"),
            (Kind.CAPTURE, "AUTHORISATION-EXPIRED", "authorization_expired"),
            (Kind.CAPTURE, "authorization_voided", "capture_declined"),
            (Kind.VOID, "authorization_captured", "void_declined"),
            (Kind.REFUND, "k-17", "refund_declined"),
            (Kind.REFUND, "insufficient_funds", "insufficient_funds"),
        ],
    )
    def test_an_unexplained_decline_is_named_by_its_kind(self, kind: Kind, code: str, ours: str) -> None:
        request = a_request(kind)
        body = orjson.dumps(a_record(request, status="declined", failure_code=code))
        answer = read_answer(request, 402, body, None, NOW)
        assert isinstance(answer, Declined)
        assert (answer.failure_code, answer.gateway_code) == (ours, code)

    @pytest.mark.parametrize("kind", LATER)
    def test_done_already_is_no_decision(self, kind: Kind) -> None:
        for status in (400, 402, 409, 422):
            body = orjson.dumps({"error": {"code": "already_captured"}})
            assert isinstance(read_answer(a_request(kind), status, body, None, NOW), UnderWay)


class TestAmounts:
    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.REFUND])
    def test_less_is_a_part_and_more_a_contradiction(self, kind: Kind) -> None:
        request = a_request(kind)
        assert found(request, a_record(request, amount_minor=1)) == PartlyApproved("gw_1", 1)
        assert isinstance(found(request, a_record(request, amount_minor=10051)), Contradictory)
        assert isinstance(found(request, a_record(request, currency="EUR")), Contradictory)

    @pytest.mark.parametrize("amount_minor", [1, 10051, None])
    def test_a_void_releases_the_whole(self, amount_minor: int | None) -> None:
        request = a_request(Kind.VOID)
        assert found(request, a_record(request, amount_minor=amount_minor)) == Succeeded("gw_1")
