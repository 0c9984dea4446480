"""What Stripe's answers say about an operation."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.testkit.stripe import objects
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.stripe_reading import StripeAnswer, read_answer, read_look_up, read_page
from paybridge.payments.ports import GatewayRequest

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
PAYMENT_ID, OPERATION_ID = uuid.UUID(int=7), uuid.UUID(int=8)
CAPTURE_BEFORE = 1_796_515_200
OTHER = {"operation_id": str(uuid.UUID(int=9))}


def request(kind: Kind, **changes: Any) -> GatewayRequest:
    """A request of this kind for 100.50 EUR."""
    is_first = kind in {Kind.CHARGE, Kind.AUTHORIZATION}
    made = GatewayRequest(
        operation_id=PAYMENT_ID if is_first else OPERATION_ID,
        kind=kind,
        payment_id=PAYMENT_ID,
        amount_minor=10050,
        currency="EUR",
        currency_places=2,
        payment_method="pm_card_visa",
        idempotency_key="key",
        target_gateway_id=None if is_first else "pi_1",
    )
    return replace(made, **changes)


CHARGE, AUTHORIZATION, CAPTURE, VOID, REFUND = (
    request(kind) for kind in (Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.VOID, Kind.REFUND)
)


def intent(status: str, **changes: Any) -> dict[str, Any]:
    """The PaymentIntent of the payment, in this status."""
    form = {"amount": 10050, "currency": "eur", "metadata": {"operation_id": str(PAYMENT_ID)}}
    received = {"amount_received": 10050} if status == "succeeded" else {}
    held = {"amount_capturable": 10050} if status == "requires_capture" else {}
    return objects.payment_intent("pi_1", form, 1) | {"status": status} | received | held | changes


def with_charge(found: dict[str, Any], amount_authorized: int = 10050) -> dict[str, Any]:
    """The PaymentIntent with its charge expanded."""
    return found | {"latest_charge": objects.charge("ch_1", found, amount_authorized, CAPTURE_BEFORE, 1)}


def refund(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """The refund of the operation, in this status."""
    made = objects.refund("re_1", intent("succeeded"), 10050, {"operation_id": str(OPERATION_ID)}, 1)
    return made | {"status": status} | changes


def failed(code: str, decline_code: str | None = None) -> dict[str, Any]:
    """The member last_payment_error."""
    return {"last_payment_error": objects.card_error(code, decline_code)}


def answer(status: int, body: Any, retry_after: str | None = None) -> StripeAnswer:
    return StripeAnswer(status, orjson.dumps(body), retry_after, is_replayed=False, time=NOW)


def error(status: int, **members: Any) -> StripeAnswer:
    return answer(status, {"error": {"type": "invalid_request_error", **members}})


def found(asked: GatewayRequest, about: dict[str, Any]) -> object:
    return read_look_up(asked, answer(200, about))


class TestChargesAndAuthorizations:
    @pytest.mark.parametrize(
        ("about", "expected"),
        [
            (intent("succeeded"), Succeeded("pi_1")),
            (intent("succeeded", amount_received=8000), PartlyApproved("pi_1", 8000)),
            (intent("processing"), Pending("pi_1")),
            (intent("requires_action"), Pending("pi_1")),
            (intent("requires_confirmation"), NotFound()),
            (intent("requires_payment_method"), NotFound()),
            (
                intent("requires_payment_method", **failed("card_declined", "insufficient_funds")),
                Declined("insufficient_funds", "Insufficient funds.", "insufficient_funds"),
            ),
            (
                intent("requires_payment_method", **failed("expired_card")),
                Declined("expired_card", "Expired card.", "expired_card"),
            ),
            (
                intent("canceled", cancellation_reason="fraudulent"),
                Declined("fraud_blocked", "Fraud blocked.", "fraudulent"),
            ),
        ],
    )
    def test_a_charge(self, about: dict[str, Any], expected: object) -> None:
        assert found(CHARGE, about) == expected

    @pytest.mark.parametrize(
        ("about", "expected"),
        [
            (intent("requires_capture"), Succeeded("pi_1")),
            (
                with_charge(intent("requires_capture")),
                Succeeded("pi_1", datetime.fromtimestamp(CAPTURE_BEFORE, UTC)),
            ),
            (intent("requires_capture", amount_capturable=8000), PartlyApproved("pi_1", 8000)),
            # Captured since, in part.
            (intent("succeeded", amount_received=4000), Succeeded("pi_1")),
            # Released since.
            (
                with_charge(intent("canceled", cancellation_reason="automatic")),
                Succeeded("pi_1", datetime.fromtimestamp(CAPTURE_BEFORE, UTC)),
            ),
            (with_charge(intent("canceled"), 8000), PartlyApproved("pi_1", 8000)),
            # Canceled before a card was asked.
            (
                intent("canceled", cancellation_reason="abandoned"),
                Declined("card_declined", "Card declined.", "abandoned"),
            ),
        ],
    )
    def test_an_authorization(self, about: dict[str, Any], expected: object) -> None:
        answered = found(AUTHORIZATION, about)
        if isinstance(expected, PartlyApproved):
            assert isinstance(answered, PartlyApproved)
            assert answered.approved_minor == expected.approved_minor
        else:
            assert answered == expected

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount_received": 10051},
            {"amount_received": 0},
            {"amount_received": None},
            {"amount_received": True},
            {"amount_received": 10050.0},
            {"currency": "usd"},
            {"currency": None},
        ],
    )
    def test_money_that_was_not_asked_for_is_for_a_person(self, changes: dict[str, Any]) -> None:
        answered = found(CHARGE, intent("succeeded", **changes))
        assert isinstance(answered, Contradictory)
        assert answered.gateway_id == "pi_1"

    def test_a_charge_that_is_held_instead_of_taken_is_for_a_person(self) -> None:
        assert isinstance(found(CHARGE, intent("requires_capture")), Contradictory)

    @pytest.mark.parametrize("status", ["succeeded", "canceled", "requires_payment_method", "processing"])
    @pytest.mark.parametrize("metadata", [OTHER, {}, None])
    def test_another_operation_says_nothing(self, status: str, metadata: dict[str, str] | None) -> None:
        for asked in (CHARGE, AUTHORIZATION):
            answered = found(asked, intent(status, metadata=metadata))
            assert isinstance(answered, Unknown)
            assert answered.fault is Fault.UNREADABLE

    def test_a_charge_that_does_not_say_what_was_approved_was_approved_whole(self) -> None:
        released = with_charge(intent("canceled"))
        released["latest_charge"]["payment_method_details"]["card"]["amount_authorized"] = None
        assert isinstance(found(AUTHORIZATION, released), Succeeded)

    @pytest.mark.parametrize("id_", [None, "", 7, "pi 1", "pi_\n", "p" * 256])
    def test_an_id_that_cannot_be_stored_is_no_proof(self, id_: object) -> None:
        for asked, about in ((CHARGE, intent("succeeded")), (REFUND, refund())):
            with pytest.raises(ValueError, match="was expected"):
                found(asked, about | {"id": id_})

    def test_an_unknown_status_says_nothing(self) -> None:
        assert isinstance(found(CHARGE, intent("requires_patience")), Unknown)

    def test_what_was_asked_for_and_is_not_there_is_unknown(self) -> None:
        assert isinstance(read_answer(CHARGE, answer(200, intent("requires_confirmation"))), Unknown)

    def test_whole_units_are_read_as_ours(self) -> None:
        asked = request(Kind.CHARGE, amount_minor=5, currency="ISK", currency_places=0)
        isk = {"amount": 500, "currency": "isk"}
        assert found(asked, intent("succeeded", amount_received=500, **isk)) == Succeeded("pi_1")
        assert found(asked, intent("succeeded", amount_received=400, **isk)) == PartlyApproved("pi_1", 4)
        assert isinstance(found(asked, intent("succeeded", amount_received=450, **isk)), Contradictory)


class TestCapturesAndVoids:
    @pytest.mark.parametrize(
        ("about", "expected"),
        [
            (intent("requires_capture"), NotFound()),
            (intent("processing"), Pending("pi_1")),
            (intent("succeeded"), Succeeded("pi_1")),
            (
                intent("canceled", cancellation_reason="automatic"),
                Declined("authorization_expired", "Authorization expired.", "automatic"),
            ),
            (
                intent("requires_payment_method", **failed("card_declined", "lost_card")),
                Declined("lost_card", "Lost card.", "lost_card"),
            ),
        ],
    )
    def test_a_capture(self, about: dict[str, Any], expected: object) -> None:
        assert found(CAPTURE, about) == expected

    @pytest.mark.parametrize("amount_received", [10049, 10051])
    def test_a_capture_of_another_amount_is_for_a_person(self, amount_received: int) -> None:
        assert isinstance(found(CAPTURE, intent("succeeded", amount_received=amount_received)), Contradictory)

    def test_a_capture_by_another_operation_is_for_a_person(self) -> None:
        metadata = {"operation_id": str(PAYMENT_ID), "capture_operation_id": str(uuid.UUID(int=9))}
        assert isinstance(found(CAPTURE, intent("succeeded", metadata=metadata)), Contradictory)
        ours = metadata | {"capture_operation_id": str(OPERATION_ID)}
        assert found(CAPTURE, intent("succeeded", metadata=ours)) == Succeeded("pi_1")

    @pytest.mark.parametrize(
        ("about", "expected"),
        [
            (intent("canceled"), Succeeded("pi_1")),
            (intent("requires_payment_method"), Succeeded("pi_1")),
            (intent("requires_capture"), NotFound()),
            (intent("processing"), Pending("pi_1")),
        ],
    )
    def test_a_void(self, about: dict[str, Any], expected: object) -> None:
        assert found(VOID, about) == expected

    def test_a_void_of_what_was_captured_is_declined(self) -> None:
        answered = found(VOID, intent("succeeded"))
        assert isinstance(answered, Declined)
        assert answered.gateway_code == "already_captured"

    @pytest.mark.parametrize("asked", [CAPTURE, VOID])
    @pytest.mark.parametrize("changes", [{"id": "pi_2"}, {"metadata": OTHER}])
    def test_another_authorization_says_nothing(self, asked: GatewayRequest, changes: dict[str, Any]) -> None:
        for status in ("succeeded", "canceled"):
            assert isinstance(found(asked, intent(status, **changes)), Unknown)


class TestRefunds:
    @pytest.mark.parametrize(
        ("about", "expected"),
        [
            (refund(), Succeeded("re_1")),
            (refund("pending"), Pending("re_1")),
            (refund("requires_action"), Pending("re_1")),
        ],
    )
    def test_a_refund(self, about: dict[str, Any], expected: object) -> None:
        assert found(REFUND, about) == expected

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("lost_or_stolen_card", "lost_card"),
            ("expired_or_canceled_card", "expired_card"),
            ("insufficient_funds", "insufficient_funds"),
            ("unknown", "refund_declined"),
            (None, "refund_declined"),
        ],
    )
    @pytest.mark.parametrize("status", ["failed", "canceled"])
    def test_a_failed_refund(self, status: str, reason: str | None, code: str) -> None:
        answered = found(REFUND, refund(status, failure_reason=reason))
        assert isinstance(answered, Declined)
        assert (answered.failure_code, answered.gateway_code) == (code, reason)

    @pytest.mark.parametrize("changes", [{"metadata": OTHER}, {"payment_intent": "pi_2"}])
    def test_another_refund_says_nothing(self, changes: dict[str, Any]) -> None:
        assert isinstance(found(REFUND, refund(**changes)), Unknown)

    @pytest.mark.parametrize("changes", [{"amount": 10049}, {"amount": 10051}, {"currency": "usd"}])
    def test_a_refund_of_something_else_is_for_a_person(self, changes: dict[str, Any]) -> None:
        assert isinstance(found(REFUND, refund(**changes)), Contradictory)


class TestErrors:
    def test_a_declined_card_by_the_issuers_code(self) -> None:
        declined = answer(402, {"error": objects.card_error("card_declined", "do_not_honor")})
        assert read_answer(CHARGE, declined) == Declined("do_not_honor", "Do not honor.", "do_not_honor")

    def test_a_decline_of_another_payment_says_nothing(self) -> None:
        body = {"error": objects.card_error("card_declined", None) | {"payment_intent": intent("x", metadata=OTHER)}}
        assert isinstance(read_answer(CHARGE, answer(402, body)), Unknown)

    @pytest.mark.parametrize("code", ["charge_expired_for_capture", "capture_charge_authorization_expired"])
    def test_a_capture_that_comes_too_late(self, code: str) -> None:
        assert read_answer(CAPTURE, error(400, code=code)) == Declined(
            "authorization_expired", "Authorization expired.", code
        )

    def test_a_payment_method_that_does_not_exist(self) -> None:
        answered = read_answer(CHARGE, error(400, code="resource_missing", param="payment_method"))
        assert answered == Declined("invalid_payment_method", "Invalid payment method.", "resource_missing")

    def test_an_object_that_is_missing_is_in_another_account(self) -> None:
        for said in (error(400, code="resource_missing", param="payment_intent"), error(404, code="resource_missing")):
            answered = read_answer(REFUND, said)
            assert isinstance(answered, Unknown)
            assert answered.fault is Fault.NOT_SERVED
        # To take it for an operation that was never asked for would be to ask again.
        looked_up = read_look_up(REFUND, error(404, code="resource_missing"))
        assert isinstance(looked_up, Unknown)

    @pytest.mark.parametrize("code", ["amount_too_small", "charge_already_refunded", None])
    def test_a_refused_request(self, code: str | None) -> None:
        assert read_answer(REFUND, error(400, code=code)) == RefusedRequest("Stripe answered 400", code)

    @pytest.mark.parametrize(
        "said",
        [
            error(409, type="idempotency_error", code="idempotency_key_in_use"),
            error(400, type="idempotency_error"),
            error(429, code="lock_timeout"),
        ],
    )
    def test_an_earlier_request_may_be_at_work(self, said: StripeAnswer) -> None:
        assert isinstance(read_answer(CHARGE, said), UnderWay)

    def test_a_limited_rate(self) -> None:
        assert read_answer(CHARGE, error(429, code="rate_limit")) == RateLimited(None)
        said = StripeAnswer(429, b"{}", "30", is_replayed=False, time=NOW)
        assert read_answer(CHARGE, said) == RateLimited(30.0)
        assert read_look_up(CHARGE, said) == RateLimited(30.0)
        assert read_page(said) == RateLimited(30.0)

    @pytest.mark.parametrize(
        ("status", "fault"),
        [
            (401, Fault.NOT_SERVED),
            (403, Fault.NOT_SERVED),
            (301, Fault.NOT_SERVED),
            (408, Fault.NO_ANSWER),
            (424, Fault.SERVER_ERROR),
            (500, Fault.SERVER_ERROR),
            (503, Fault.SERVER_ERROR),
        ],
    )
    def test_no_decision(self, status: int, fault: Fault) -> None:
        for answered in (
            read_answer(CHARGE, error(status)),
            read_look_up(CHARGE, error(status)),
            read_page(error(status)),
        ):
            assert isinstance(answered, Unknown)
            assert answered.fault is fault

    @pytest.mark.parametrize("status", [409, 425])
    def test_a_look_up_that_is_turned_away_says_nothing(self, status: int) -> None:
        assert isinstance(read_look_up(CHARGE, error(status)), Unknown)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
FIELDS = ["id", "object", "status", "currency", "metadata", "amount_received", "amount", "last_payment_error", "error"]


@given(
    st.sampled_from([CHARGE, AUTHORIZATION, CAPTURE, VOID, REFUND]),
    st.sampled_from([200, 400, 402, 404, 409, 429, 500]),
    st.dictionaries(st.sampled_from(FIELDS), anything),
)
def test_nonsense_never_settles_an_operation(asked: GatewayRequest, status: int, changes: dict[str, Any]) -> None:
    """A single member that is not as it should be never becomes a success, and never an error of another kind."""
    base = refund() if asked.kind is Kind.REFUND else intent("succeeded")
    for read in (read_answer, read_look_up):
        try:
            answered = read(asked, answer(status, base | changes))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if isinstance(answered, Succeeded):
            assert answered.gateway_id == (base | changes)["id"]
            assert status == 200
