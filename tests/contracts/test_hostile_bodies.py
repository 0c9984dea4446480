"""Hostile bodies: the answer is a 4xx problem that repeats no input, or a payment that shows exactly what was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.testkit.api import ORDER, ApiClient, demo_merchant_id
from local.testkit.payments import captured_payment, new_merchant
from paybridge.core.money import EXPONENTS, MINOR_UNITS_MAX, format_minor
from paybridge.database.database import Database
from tests.support.openapi import Contract

MARK = "4242-hostile-mark"


def order_with(**members: Any) -> bytes:
    """Return a valid order with these members added or replaced."""
    return json.dumps({**ORDER, **members}).encode()


def raw_member(text: str) -> bytes:
    """Return a valid order whose `description` is this raw JSON."""
    return b'{"amount":"1.00","currency":"RUB","description":' + text.encode() + b"}"


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "no json": MARK.encode(),
    "truncated": b'{"amount":"1.00"',
    "trailing text": json.dumps(ORDER).encode() + b"x",
    "two objects": json.dumps(ORDER).encode() * 2,
    "single quotes": b"{'amount':'1.00','currency':'RUB'}",
    "comment": b'{"amount":"1.00","currency":"RUB"}//',
    "trailing comma": b'{"amount":"1.00","currency":"RUB",}',
    "list": b"[]",
    "text": b'"1.00"',
    "number": b"1",
    "null": b"null",
    "true": b"true",
    "empty object": b"{}",
    "form": b"amount=1.00&currency=RUB",
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(ORDER).encode(),
    "utf-16": json.dumps(ORDER).encode("utf-16"),
    "invalid utf-8": raw_member('"\u00ff"').replace("\u00ff".encode(), b"\xff"),
    "overlong utf-8": raw_member('"x"').replace(b'"x"', b'"\xc0\x80"'),
    "raw surrogate": raw_member('"x"').replace(b'"x"', b'"\xed\xa0\x80"'),
    "lone high surrogate": raw_member('"\\ud800"'),
    "lone low surrogate": raw_member('"\\udc00"'),
    "swapped surrogates": raw_member('"\\udc00\\ud800"'),
    "escaped nul": raw_member('"a\\u0000b"'),
    "raw nul": raw_member('"a\x00b"'),
    "raw line end": raw_member('"a\nb"'),
    "nan": raw_member("NaN"),
    "infinity": raw_member("Infinity"),
    "minus infinity": raw_member("-Infinity"),
    "huge float": raw_member("1e400"),
    "huge integer": raw_member("9" * 5000),
    "deep list": raw_member("[" * 5000 + "]" * 5000),
    "deep object": raw_member('{"a":' * 5000 + "1" + "}" * 5000),
    "deep and open": b"[" * 100_000,
    "too large": raw_member('"' + "x" * 262_144 + '"'),
    "duplicate member": b'{"amount":"1.00","amount":"9.00","currency":"RUB"}',
    "duplicate by escape": b'{"amount":"1.00","\\u0061mount":"9.00","currency":"RUB"}',
    "duplicate metadata": b'{"amount":"1.00","currency":"RUB","metadata":{"a":"1","a":"2"}}',
    "unknown member": order_with(**{MARK: "x"}),
    "member in capitals": order_with(Amount="1.00"),
    "prototype": order_with(__proto__={}),
    "merchant of another": order_with(merchant_id="00000000-0000-0000-0000-000000000000"),
    "status": order_with(status="succeeded"),
    "amount as integer": order_with(amount=100),
    "amount as float": order_with(amount=100.5),
    "amount as true": order_with(amount=True),
    "amount as null": order_with(amount=None),
    "amount as list": order_with(amount=["1.00"]),
    "amount as object": order_with(amount={"value": "1.00"}),
    "amount empty": order_with(amount=""),
    "amount negative": order_with(amount="-1.00"),
    "amount zero": order_with(amount="0.00"),
    "amount with plus": order_with(amount="+1.00"),
    "amount with exponent": order_with(amount="1e2"),
    "amount with underscore": order_with(amount="1_000.00"),
    "amount with grouping": order_with(amount="1,000.00"),
    "amount with blank": order_with(amount=" 1.00"),
    "amount with line end": order_with(amount="1.00\n"),
    "amount with leading zero": order_with(amount="01.00"),
    "amount without places": order_with(amount="1"),
    "amount with one place": order_with(amount="1.0"),
    "amount with three places": order_with(amount="1.000"),
    "amount of yen with places": order_with(amount="1.00", currency="JPY"),
    "amount of dinar with two places": order_with(amount="1.00", currency="KWD"),
    "amount in arabic digits": order_with(amount="١.٠٠"),
    "amount in full width digits": order_with(amount="１.００"),
    "amount too large": order_with(amount="99999999999999.99"),
    "amount beyond bigint": order_with(amount="9" * 40 + ".00"),
    "amount of text": order_with(amount="NaN"),
    "currency in small letters": order_with(currency="rub"),
    "currency unknown": order_with(currency="ZZZ"),
    "currency of gold": order_with(currency="XAU", amount="1"),
    "currency for tests": order_with(currency="XTS", amount="1.00"),
    "currency with blank": order_with(currency="RUB "),
    "currency as number": order_with(currency=643),
    "currency as null": order_with(currency=None),
    "description as number": order_with(description=1),
    "description too long": order_with(description="x" * 1001),
    "metadata as text": order_with(metadata="x"),
    "metadata as list": order_with(metadata=[["a", "b"]]),
    "metadata nested": order_with(metadata={"a": {"b": "c"}}),
    "metadata with number": order_with(metadata={"a": 1}),
    "metadata with null": order_with(metadata={"a": None}),
    "metadata with true": order_with(metadata={"a": True}),
    "metadata key empty": order_with(metadata={"": "x"}),
    "metadata key too long": order_with(metadata={MARK * 3: "x"}),
    "metadata value too long": order_with(metadata={"a": "x" * 501}),
    "metadata too many": order_with(metadata={str(number): "x" for number in range(51)}),
    "metadata key with nul": b'{"amount":"1.00","currency":"RUB","metadata":{"\\u0000":"x"}}',
    "customer empty": order_with(customer=""),
    "customer too long": order_with(customer="x" * 256),
    "payment method with blank": order_with(payment_method="tok x"),
    "payment method with line end": order_with(payment_method="tok_x\n"),
    "payment method too long": order_with(payment_method="x" * 65),
    "payment method empty": order_with(payment_method=""),
    "capture unknown": order_with(capture="later"),
    "capture null": order_with(capture=None),
    "webhook empty": order_with(webhook_url=""),
    "webhook relative": order_with(webhook_url="/webhook"),
    "webhook of another scheme": order_with(webhook_url="file:///etc/passwd"),
    "webhook with login": order_with(webhook_url=f"https://{MARK}@example.com/"),
    "webhook with fragment": order_with(webhook_url="https://example.com/#x"),
    "webhook without host": order_with(webhook_url="https:///x"),
    "webhook on another port": order_with(webhook_url="https://example.com:8080/"),
    "webhook without tls": order_with(webhook_url="http://example.com/"),
    "webhook with line end": order_with(webhook_url="https://example.com/\r\nX: y"),
    "webhook too long": order_with(webhook_url="https://example.com/" + "x" * 2048),
}

# Characters that PostgreSQL can store: no NUL, no half of a surrogate pair.
STORABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
CHARGEABLE = st.sampled_from(sorted(code for code, places in EXPONENTS.items() if places is not None))


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    """Draw any valid order."""
    currency = draw(CHARGEABLE)
    optional = {
        "description": st.none() | st.text(STORABLE, max_size=1000),
        "metadata": st.none()
        | st.dictionaries(
            st.text(STORABLE, min_size=1, max_size=40), st.text(STORABLE, max_size=500), min_size=0, max_size=8
        ),
        "customer": st.none() | st.text(STORABLE, min_size=1, max_size=255),
        "payment_method": st.none() | st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True),
        "webhook_url": st.none() | st.from_regex(r"https://[a-z]{1,20}\.test/[A-Za-z0-9%?&=]{0,50}", fullmatch=True),
    }
    return {
        "amount": format_minor(draw(st.integers(1, MINOR_UNITS_MAX)), currency),
        "currency": currency,
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }


class TestHostileBodies:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_each_body_is_a_documented_problem(self, client: ApiClient, contract: Contract, name: str) -> None:
        answer = client.create(HOSTILE[name])
        assert 400 <= answer.status < 500
        contract.check("POST", "/api/v1/payments", answer)
        assert MARK.encode() not in answer.body.replace(b'"field":"' + MARK.encode(), b"")

    @pytest.mark.parametrize("command", ["capture", "cancel", "refunds"])
    def test_commands_answer_each_body_as_documented(
        self, client: ApiClient, contract: Contract, database: Database, command: str
    ) -> None:
        path = f"{captured_payment(database, new_merchant(database))}/{command}"
        for name, body in HOSTILE.items():
            answer = client.order(path, body)
            assert 400 <= answer.status < 500, name
            contract.check("POST", f"/api/v1/payments/{{payment_id}}/{command}", answer)
            assert MARK.encode() not in answer.body.replace(b'"field":"' + MARK.encode(), b""), name

    def test_no_body_creates_a_payment(self, client: ApiClient) -> None:
        for body in HOSTILE.values():
            client.create(body)
        assert client.get("/api/v1/payments").json()["data"] == []


class TestAcceptedBodies:
    @settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(order=orders(), escaped=st.booleans())
    def test_an_accepted_order_comes_back_equal(self, client: ApiClient, order: dict[str, Any], escaped: bool) -> None:
        created = client.create(json.dumps(order, ensure_ascii=escaped).encode())
        assert created.status == 202, created.body
        assert {name: created.json()[name] for name in order} == order
        assert client.get(created.headers["location"]).json() == created.json()

    @settings(deadline=None, max_examples=150)
    @given(body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps(text).encode()))
    def test_any_bytes_are_answered_with_a_problem(self, client: ApiClient, body: bytes) -> None:
        assert 400 <= client.create(body).status < 500

    @settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        reason=st.none() | st.text(STORABLE, min_size=1, max_size=500),
        metadata=st.none()
        | st.dictionaries(st.text(STORABLE, min_size=1, max_size=40), st.text(STORABLE, max_size=500), max_size=8),
    )
    def test_what_a_refund_says_comes_back_equal(
        self, client: ApiClient, database: Database, reason: str | None, metadata: dict[str, str] | None
    ) -> None:
        payment_id = captured_payment(database, demo_merchant_id(database))
        body = {"amount": "0.01", "reason": reason, "metadata": metadata}
        created = client.order(f"{payment_id}/refunds", body)
        assert created.status == 202, created.body
        assert {name: created.json()[name] for name in body} == body
        assert client.get(created.headers["location"]).json() == created.json()
