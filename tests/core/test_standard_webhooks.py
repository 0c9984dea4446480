"""Secrets and signatures of Standard Webhooks."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from paybridge.core.errors import InvalidInput
from paybridge.core.standard_webhooks import InvalidSecret, is_signed_by, parse_secret, signature

KEYS = st.binary(min_size=24, max_size=64)
IDS = st.uuids().map(str)
TIMES = st.integers(0, 2**33)


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


class TestParseSecret:
    @given(KEYS, st.booleans())
    def test_gives_the_key_back(self, key: bytes, padded: bool) -> None:
        text = secret_of(key)
        assert parse_secret(text if padded else text.rstrip("=")) == key

    @given(st.binary(max_size=23) | st.binary(min_size=65, max_size=80))
    def test_refuses_keys_of_other_lengths(self, key: bytes) -> None:
        with pytest.raises(InvalidSecret):
            parse_secret(secret_of(key))

    @pytest.mark.parametrize(
        "text", ["", "whsec_", "A" * 40, "whsec_" + "A" * 41, "whsec_" + "*" * 40, "whsec_" + "é" * 40, "whsec_A A" * 9]
    )
    def test_refuses_malformed_secrets(self, text: str) -> None:
        with pytest.raises(InvalidSecret):
            parse_secret(text)

    def test_the_error_is_an_invalid_input_and_a_value_error(self) -> None:
        assert issubclass(InvalidSecret, InvalidInput)
        assert issubclass(InvalidSecret, ValueError)


class TestSignature:
    def test_is_the_example_of_the_specification(self) -> None:
        key = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        assert (
            signature([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
            == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        )

    def test_needs_a_key(self) -> None:
        with pytest.raises(ValueError, match="key"):
            signature([], "e-1", 1, b"")


class TestIsSignedBy:
    @given(KEYS, IDS, st.text(max_size=200))
    def test_takes_what_an_independent_library_signs(self, key: bytes, id_: str, text: str) -> None:
        body, now = json.dumps({"text": text}), datetime.now(UTC)
        header = Webhook(secret_of(key)).sign(id_, now, body)
        assert is_signed_by([key], header, id_, int(now.timestamp()), body.encode())

    @given(st.lists(KEYS, min_size=2, max_size=4, unique=True), IDS, TIMES, st.binary(max_size=50), st.data())
    def test_one_key_of_several_is_enough(
        self, keys: list[bytes], id_: str, time: int, body: bytes, data: st.DataObject
    ) -> None:
        signed_with, known = data.draw(st.sampled_from(keys)), data.draw(st.permutations(keys))
        assert is_signed_by(known, signature([signed_with], id_, time, body), id_, time, body)
        assert is_signed_by([signed_with], signature(known, id_, time, body), id_, time, body)
        others = [key for key in keys if key != signed_with]
        assert not is_signed_by(others, signature([signed_with], id_, time, body), id_, time, body)

    @given(KEYS, IDS, TIMES, st.binary(min_size=1, max_size=50))
    def test_id_time_and_body_are_part_of_it(self, key: bytes, id_: str, time: int, body: bytes) -> None:
        header = signature([key], id_, time, body)
        assert not is_signed_by([key], header, f"{id_}0", time, body)
        assert not is_signed_by([key], header, id_, time + 1, body)
        assert not is_signed_by([key], header, id_, time, body + b" ")

    @given(st.text() | st.sampled_from(["", " ", "v1,", "v1a,AAAA", "v1,é", "v2,g0hM9SsE"]))
    def test_takes_no_nonsense(self, header: str) -> None:
        assert not is_signed_by([bytes(32)], header, "e-1", 1, b"{}")
