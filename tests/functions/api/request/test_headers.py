"""The request headers Idempotency-Key and Prefer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from api.problems import Problem
from api.request.headers import KEY_PATTERN, parse_idempotency_key, preferred_wait_seconds, single_header

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)


class TestParseIdempotencyKey:
    @given(key=VISIBLE)
    def test_the_quoted_spelling_names_the_same_key(self, key: str) -> None:
        quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
        assert parse_idempotency_key(quoted) == key

    @given(key=VISIBLE.filter(lambda key: not key.startswith('"') and "," not in key))
    def test_the_bare_spelling_is_the_key(self, key: str) -> None:
        assert parse_idempotency_key(key) == parse_idempotency_key(f"  {key}\t") == key

    @pytest.mark.parametrize("header", [None, "", "  "])
    def test_a_missing_key_is_a_400(self, header: str | None) -> None:
        with pytest.raises(Problem) as caught:
            parse_idempotency_key(header)
        assert (caught.value.status, caught.value.code) == (400, "idempotency_key_missing")
        # Two refunds of one payment need two keys.
        assert "for each new request" in caught.value.detail

    @pytest.mark.parametrize(
        "header",
        ['""', '"', '"a', '"a"b', '"a\\b"', '"a b"', '"a";x=1', "a b", "ключ", "a\x7f", "a" * 256, f'"{"a" * 256}"'],
    )
    def test_a_malformed_key_is_refused(self, header: str) -> None:
        with pytest.raises(Problem) as caught:
            parse_idempotency_key(header)
        assert (caught.value.status, caught.value.code) == (400, "idempotency_key_invalid")

    @pytest.mark.parametrize(
        "header", ["k,k", "k, k", "k,", ",k", '"k","k"', '"k", "k"', 'k,"k"', '"k",k', "k,k2,k3", '"a,b","a,b"', '"a,b']
    )
    def test_a_comma_outside_quotes_is_a_header_sent_twice(self, header: str) -> None:
        with pytest.raises(Problem) as caught:
            parse_idempotency_key(header)
        assert (caught.value.status, caught.value.code) == (400, "header_repeated")

    def test_a_quoted_key_may_hold_commas(self) -> None:
        assert parse_idempotency_key('"a,b, c"'.replace(" ", "")) == "a,b,c"

    @given(header=st.text(st.sampled_from('ab,"\\ é\x7f!~-.'), min_size=1, max_size=12))
    def test_takes_what_the_document_says(self, header: str) -> None:
        header = header.strip(" ") or "a"
        try:
            parse_idempotency_key(header)
        except Problem:
            assert not re.search(KEY_PATTERN, header)
        else:
            assert re.search(KEY_PATTERN, header)


class TestSingleHeader:
    def test_returns_the_value_or_none(self) -> None:
        headers = Headers(raw=[(b"x-api-key", b"key")])
        assert single_header(headers, "X-API-Key") == "key"
        assert single_header(headers, "Content-Type") is None

    def test_two_headers_are_refused_even_if_they_are_equal(self) -> None:
        headers = Headers(raw=[(b"x-api-key", b"key"), (b"x-api-key", b"key")])
        with pytest.raises(Problem) as caught:
            single_header(headers, "X-API-Key")
        assert (caught.value.status, caught.value.code) == (400, "header_repeated")
        assert "X-API-Key" in caught.value.detail


class TestPreferredWaitSeconds:
    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("wait=5", 5),
            ("Wait = 5", 5),
            ('wait="7"', 7),
            ("respond-async, wait=10; x=y", 10),
            ("wait=0", 0),
            ("wait=999", 20),
            ("wait=1, wait=2", 1),
            (None, None),
            ("", None),
            ("wait", None),
            ("wait=-1", None),
            ("wait=1.5", None),
            ("wait=٣", None),
            ("wait=99999999999999999999", None),
            ("nowait=3", None),
        ],
    )
    def test_reads_the_first_usable_wait(self, header: str | None, seconds: int | None) -> None:
        assert preferred_wait_seconds(header) == seconds
