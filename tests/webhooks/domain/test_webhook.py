"""Signing, bodies, targets and the schedule of webhooks."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from paybridge.core.retry import GiveUp, RetryIn
from paybridge.webhooks.domain.webhook import (
    Delivered,
    Gone,
    SendResult,
    build_body,
    decide,
    delivery_id,
    origin_of,
    signed_headers,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY_SECONDS = 86400
KEYS = st.binary(min_size=24, max_size=64)
IDS = st.uuids()


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def answered(status: int, retry_after: str | None = None) -> SendResult:
    return SendResult(status_code=status, error=None, latency_ms=1, retry_after=retry_after)


def failed(error: str) -> SendResult:
    return SendResult(status_code=None, error=error, latency_ms=1)


class TestSignedHeaders:
    @given(KEYS, IDS.map(str), st.text(max_size=200))
    def test_an_independent_library_verifies_them(self, key: bytes, message_id: str, text: str) -> None:
        body = json.dumps({"text": text}).encode()
        headers = signed_headers([key], message_id, datetime.now(UTC), body)
        Webhook(secret_of(key)).verify(body, headers)

    @given(st.lists(KEYS, min_size=1, max_size=5, unique=True))
    def test_every_key_of_a_rotation_verifies_them(self, keys: list[bytes]) -> None:
        headers = signed_headers(keys, "e-1", datetime.now(UTC), b"{}")
        for key in keys:
            Webhook(secret_of(key)).verify(b"{}", headers)


class TestBuildBody:
    @given(st.dictionaries(st.text(), st.text() | st.none() | st.integers()), st.integers(1, 99))
    def test_is_json_with_the_sequence_inside_data(self, data: dict[str, object], sequence: int) -> None:
        body = build_body("payment.succeeded", "2026-11-21T12:00:00Z", data, sequence)
        assert json.loads(body) == {
            "type": "payment.succeeded",
            "timestamp": "2026-11-21T12:00:00Z",
            "data": {**data, "sequence": sequence},
        }

    def test_does_not_escape_letters(self) -> None:
        assert "Оплата".encode() in build_body("t", "now", {"description": "Оплата"}, 1)


class TestDeliveryId:
    @given(IDS, st.text(alphabet=st.characters(codec="utf-8")))
    def test_is_a_uuid7_with_the_time_of_the_event(self, event_id: UUID, endpoint: str) -> None:
        made = delivery_id(event_id, endpoint)
        assert made == delivery_id(event_id, endpoint)
        assert (made.version, made.variant) == (7, "specified in RFC 4122")
        assert made.int >> 80 == event_id.int >> 80

    @given(IDS, IDS, st.sampled_from("ab"), st.sampled_from("ab"))
    def test_differs_when_event_or_endpoint_does(self, one: UUID, other: UUID, here: str, there: str) -> None:
        assert (delivery_id(one, here) == delivery_id(other, there)) == ((one, here) == (other, there))


class TestDecide:
    @given(st.integers(200, 299), st.integers(1, 9))
    def test_every_2xx_is_a_delivery(self, status: int, attempt: int) -> None:
        assert decide(answered(status), attempt, [1], NOW) == Delivered()

    @given(st.integers(100, 199) | st.integers(300, 409) | st.integers(411, 599))
    def test_every_other_status_but_410_is_retried(self, status: int) -> None:
        assert decide(answered(status), 1, [7], NOW) == RetryIn(7)

    def test_410_ends_it_at_once(self) -> None:
        assert decide(answered(410), 1, [1, 2], NOW) == Gone()

    @pytest.mark.parametrize("error", ["timeout", "connect_failed", "tls_failed", "address_not_allowed"])
    def test_an_error_is_retried(self, error: str) -> None:
        assert decide(failed(error), 1, [7], NOW) == RetryIn(7)

    def test_a_url_that_is_not_allowed_is_given_up(self) -> None:
        assert decide(failed("url_not_allowed"), 1, [7], NOW) == GiveUp()

    @given(st.lists(st.floats(0.1, DAY_SECONDS), max_size=8))
    def test_there_is_one_more_attempt_than_delays(self, delays: list[float]) -> None:
        decisions = [decide(answered(500), attempt, delays, NOW) for attempt in range(1, len(delays) + 2)]
        assert decisions == [*map(RetryIn, delays), GiveUp()]

    @given(st.integers(0, 10**9), st.floats(0.1, 10**6))
    def test_retry_after_only_lengthens_a_delay_and_at_most_to_a_day(self, asked: int, scheduled: float) -> None:
        decision = decide(answered(429, str(asked)), 1, [scheduled], NOW)
        assert decision == RetryIn(min(max(asked, scheduled), DAY_SECONDS))


class TestOriginOf:
    @pytest.mark.parametrize(
        ("url", "origin"),
        [
            ("https://Example.com/a?b", "https://example.com:443"),
            ("http://127.0.0.1:8091/x", "http://127.0.0.1:8091"),
            ("HTTP://[::1]/x", "http://::1:80"),
            ("http://x:99999/", "invalid"),
        ],
    )
    def test_is_scheme_host_and_port(self, url: str, origin: str) -> None:
        assert origin_of(url) == origin
