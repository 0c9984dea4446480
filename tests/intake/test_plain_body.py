"""Compressed bodies are inflated within a bound."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import InvalidInput
from paybridge.core.strict_json import BODY_BYTES_MAX
from paybridge.intake.plain_body import plain_body

BOMB = gzip.compress(bytes(200 * 1024 * 1024))


def refusal(body: bytes, encoding: str = "gzip") -> str:
    with pytest.raises(InvalidInput) as caught:
        plain_body(body, encoding)
    return caught.value.code


class TestPlainBody:
    @pytest.mark.parametrize("encoding", ["", "identity", "utf-8", "UTF-8 "])
    def test_a_plain_body_stays_as_it_is(self, encoding: str) -> None:
        assert plain_body(b"{}", encoding) == b"{}"

    @pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
    def test_gzip_is_inflated(self, encoding: str) -> None:
        assert plain_body(gzip.compress(b"{}"), encoding) == b"{}"

    def test_gzip_is_known_without_its_encoding(self) -> None:
        assert plain_body(gzip.compress(b"{}"), "") == b"{}"

    @pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "aes128gcm"])
    def test_other_encodings_are_refused(self, encoding: str) -> None:
        assert refusal(b"{}", encoding) == "content_encoding_unsupported"

    def test_what_is_no_gzip_is_refused(self) -> None:
        assert refusal(b"{}") == "gzip_invalid"
        assert refusal(gzip.compress(b"{}")[:-1]) == "gzip_invalid"
        assert refusal(gzip.compress(b"{}") + b"{}") == "gzip_invalid"
        assert refusal(gzip.compress(b"{}") + gzip.compress(b"{}")) == "gzip_invalid"

    @given(st.binary())
    def test_no_bytes_do_anything_else(self, rest: bytes) -> None:
        assert refusal(b"\x1f\x8b" + rest) == "gzip_invalid"

    def test_a_bomb_is_inflated_to_one_byte_more_than_allowed(self) -> None:
        tracemalloc.start()
        try:
            assert len(plain_body(BOMB, "gzip")) == BODY_BYTES_MAX + 1
            assert tracemalloc.get_traced_memory()[1] < 4 * BODY_BYTES_MAX
        finally:
            tracemalloc.stop()
