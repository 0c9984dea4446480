"""Messages of strangers: one order, or one refusal that repeats nothing of the message."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.ids import Uuid7Ids
from paybridge.core.raw_messages import RawMessage
from paybridge.core.strict_json import BODY_BYTES_MAX, NESTING_MAX
from paybridge.intake.payment_message import MessageEnvelope
from paybridge.intake.payment_request import PaymentRequest
from paybridge.intake.read_message import MessageRefused, OrderInvalid, ReadingRules, read_message
from paybridge.payments.create_many import KeyedOrder
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.webhooks.domain.address import LOOPBACK

MERCHANT = uuid4()
DEMO = uuid4()
RULES, LOCAL_RULES = ReadingRules(), ReadingRules(LOOPBACK, DEMO)
CARD = "4111111111111111"
MEMBERS = [*MessageEnvelope.model_fields, *PaymentRequest.model_fields, "other", CARD]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def an_order(**changes: Any) -> dict[str, Any]:
    """The members of a good message, with some changed; those that are Ellipsis are left out."""
    members = {
        "type": "PaymentInitiated",
        "idempotency_key": "order-1",
        "amount": "100.50",
        "currency": "EUR",
        "user_id": "user_123",
        "merchant_id": str(MERCHANT),
        "payment_method": "tok_success",
        "timestamp": "2026-11-28T12:00:00",
    }
    return {name: value for name, value in {**members, **changes}.items() if value is not ...}


def read(body: bytes | dict[str, Any], rules: ReadingRules = RULES, **properties: str) -> KeyedOrder:
    raw = json.dumps(body).encode() if isinstance(body, dict) else body
    return read_message(RawMessage("payments.intake", raw, **properties), rules, Uuid7Ids())


def reason(body: bytes | dict[str, Any], rules: ReadingRules = RULES, **properties: str) -> str:
    with pytest.raises(MessageRefused) as caught:
        read(body, rules, **properties)
    return str(caught.value)


class TestOrder:
    def test_every_member_is_where_http_would_put_it(self) -> None:
        webhook_url = "https://example.com/hook"
        members = an_order(webhook_url=webhook_url, metadata={"a": "b"}, description="Shoes", capture="manual")
        found = read(members)
        assert found.merchant_id == MERCHANT
        assert found.request.key == "order-1"
        assert found.request.fingerprint == hashlib.sha256(json.dumps(members).encode()).digest()
        assert found.order == PaymentOrder(
            amount_minor=10050,
            currency="EUR",
            description="Shoes",
            metadata={"a": "b"},
            webhook_url=webhook_url,
            customer="user_123",
            payment_method="tok_success",
            capture="manual",
        )

    @pytest.mark.parametrize("absent", ["type", "payment_method", "timestamp"])
    def test_members_may_be_absent_or_null(self, absent: str) -> None:
        assert read(an_order(**{absent: ...})).order == read(an_order(**{absent: None})).order

    @pytest.mark.parametrize("amount", [100.5, "100.50"])
    def test_an_amount_is_text_or_a_number(self, amount: Any) -> None:
        assert read(an_order(amount=amount)).order.amount_minor == 10050

    @pytest.mark.parametrize("timestamp", [1764331200.25, 0, "yesterday"])
    def test_a_timestamp_is_whatever_its_sender_calls_one(self, timestamp: Any) -> None:
        assert read(an_order(timestamp=timestamp)).order == read(an_order()).order

    def test_gzip_is_the_same_order_and_the_same_request(self) -> None:
        body = json.dumps(an_order()).encode()
        assert read(gzip.compress(body), content_encoding="gzip")[:3] == read(body)[:3]


class TestCorrelationId:
    def test_it_is_the_senders(self) -> None:
        assert read(an_order(), correlation_id="c-1", message_id="m-1").correlation_id == "c-1"
        assert read(an_order(), message_id="m-1").correlation_id == "m-1"

    @pytest.mark.parametrize("unsafe", ["", CARD, "a b", "x" * 129, "é"])
    def test_an_unsafe_one_is_replaced(self, unsafe: str) -> None:
        UUID(read(an_order(), correlation_id=unsafe, message_id=unsafe).correlation_id)


class TestMerchant:
    def test_without_one_the_message_is_refused(self) -> None:
        assert reason(an_order(merchant_id=...)) == "validation_failed: merchant_id required"
        assert reason(an_order(merchant_id=None)) == "validation_failed: merchant_id required"

    def test_offline_it_is_the_demo_merchant(self) -> None:
        assert read(an_order(merchant_id=...), LOCAL_RULES).merchant_id == DEMO
        assert read(an_order(), LOCAL_RULES).merchant_id == MERCHANT


class TestSimulations:
    @pytest.mark.parametrize(
        ("asked", "method"),
        [
            ({"simulate_transient_failure": True}, "tok_flaky"),
            ({"simulate_permanent_failure": True}, "tok_decline"),
            ({"simulate_transient_failure": True, "simulate_permanent_failure": True}, "tok_decline"),
            ({"simulate_transient_failure": False}, None),
        ],
    )
    def test_offline_metadata_may_ask_for_a_failure(self, asked: dict[str, bool], method: str | None) -> None:
        order = read(an_order(payment_method=..., metadata={"a": "b", **asked}), LOCAL_RULES).order
        assert order.payment_method == method
        assert order.metadata == {"a": "b"} | {name: str(value).lower() for name, value in asked.items()}

    def test_a_payment_method_that_is_named_stays(self) -> None:
        found = read(an_order(metadata={"simulate_permanent_failure": True}), LOCAL_RULES)
        assert found.order.payment_method == "tok_success"

    def test_elsewhere_it_is_no_text_and_refused(self) -> None:
        found = reason(an_order(metadata={"simulate_permanent_failure": True}))
        assert found == "validation_failed: metadata.simulate_permanent_failure not_a_string"


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "start"),
        [
            (b"", "json_invalid: The body is empty."),
            (b"\xef\xbb\xbf{}", "json_invalid: The body starts with a byte order mark."),
            (b'{"amount": NaN}', "json_invalid: NaN"),
            (b'{"a": 1, "a": 2}', "json_duplicate_key"),
            (b'{"a": "\xff"}', "json_invalid: The body is not valid UTF-8"),
            (b'{"a": "\\u0000"}', "json_text_unstorable"),
            (b'{"a": "\\ud800"}', "json_text_unstorable"),
            (b"[" * (NESTING_MAX + 1), "json_too_deep"),
            (b"[" * 100_000, "json_too_deep"),
            (b"[]", "json_not_an_object"),
            (b" " * (5 * 1024 * 1024), "body_too_large"),
            (gzip.compress(b" " * (BODY_BYTES_MAX + 1)), "body_too_large"),
            (b"\x1f\x8b{}", "gzip_invalid"),
            (b"{}", "validation_failed: idempotency_key required, user_id required, amount required, curr"),
        ],
    )  # fmt: skip
    def test_what_is_no_order_is_named(self, body: bytes, start: str) -> None:
        assert reason(body).startswith(start)

    @pytest.mark.parametrize("name", ["member_{}", "x" * 4000 + "{}"])
    def test_thousands_of_faults_make_one_line(self, name: str) -> None:
        found = reason(an_order(**{name.format(number): 1 for number in range(50)}))
        assert len(found) < 1000
        assert found.endswith(", and 40 more")

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"amount": "100.5"}, "amount_places: The amount must have 2 decimal places"),
            ({"amount": 100.505}, "amount_places: "),
            ({"amount": True}, "validation_failed: amount amount_not_a_string"),
            ({"currency": "XYZ"}, "currency_unsupported: "),
            ({"webhook_url": "http://127.0.0.1/hook"}, "webhook_url_"),
            ({"payment_method": "a b"}, "validation_failed: payment_method payment_method_malformed"),
            ({"type": "PaymentCanceled"}, "validation_failed: type not_an_option"),
            ({"idempotency_key": ""}, "validation_failed: idempotency_key text_too_short"),
            ({"idempotency_key": "a b"}, "validation_failed: idempotency_key text_malformed"),
            ({"idempotency_key": "k" * 256}, "validation_failed: idempotency_key text_too_long"),
            ({"idempotency_key": 7}, "validation_failed: idempotency_key not_a_string"),
            ({"user_id": 7}, "validation_failed: user_id not_a_string"),
            ({"merchant_id": "me"}, "validation_failed: merchant_id text_malformed"),
            ({"customer": "c-1"}, "validation_failed: customer unknown_member"),
            ({"amuont": "1.00"}, "validation_failed: amuont unknown_member"),
            ({CARD: "1.00"}, "validation_failed: ? unknown_member"),
        ],
    )
    def test_the_rule_and_the_member_are_named(self, changes: dict[str, Any], expected: str) -> None:
        assert reason(an_order(**changes)).startswith(expected)

    def test_an_order_that_breaks_a_rule_still_has_its_key(self) -> None:
        with pytest.raises(OrderInvalid) as caught:
            read(an_order(amount="0.00"))
        assert (caught.value.merchant_id, caught.value.request.key) == (MERCHANT, "order-1")

    def test_another_content_encoding_is_refused(self) -> None:
        assert reason(an_order(), content_encoding="br").startswith("content_encoding_unsupported")


class TestAnyMessage:
    @given(st.binary(), st.text(max_size=20))
    def test_no_bytes_do_anything_but_order_or_be_refused(self, body: bytes, encoding: str) -> None:
        with pytest.raises(MessageRefused):
            read(body, content_encoding=encoding)

    @given(st.dictionaries(st.sampled_from(MEMBERS), VALUES), st.sampled_from([RULES, LOCAL_RULES]))
    def test_no_members_do_anything_but_order_or_be_refused(self, changes: dict[str, Any], rules: ReadingRules) -> None:
        try:
            found = read(json.dumps(an_order(**changes)).encode(), rules)
        except MessageRefused:
            return
        assert found.order.amount_minor > 0

    @given(st.sampled_from(MEMBERS), st.sampled_from([CARD, int(CARD), [CARD], {CARD: CARD}, f"{CARD} é"]))
    def test_no_value_is_repeated(self, name: str, value: Any) -> None:
        said = ""
        try:
            read(an_order(**{name: value}), LOCAL_RULES)
        except MessageRefused as refused:
            said = str(refused)
        assert "4111" not in said
