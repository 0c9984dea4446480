"""Strict JSON: the standard parser accepts these bodies, and this one must refuse them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.problems import Problem
from api.request.json_body import check_content_type, fingerprint, parse_object
from paybridge.core.strict_json import BODY_BYTES_MAX, NESTING_MAX, JsonNumber

# Every JSON value without numbers that PostgreSQL can store.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none() | st.booleans() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)


def refusal(body: bytes) -> tuple[int, str]:
    """Return the status and code of the problem that `body` causes."""
    with pytest.raises(Problem) as caught:
        parse_object(body)
    return caught.value.status, caught.value.code


def nested(levels: int) -> bytes:
    """Return an object that nests lists `levels` deep in total."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


class TestParseObject:
    @given(members=st.dictionaries(TEXT, VALUES, max_size=5), escaped=st.booleans())
    def test_an_accepted_object_is_unchanged(self, members: dict[str, Any], escaped: bool) -> None:
        assert parse_object(json.dumps(members, ensure_ascii=escaped).encode()) == members

    @given(number=st.integers() | st.floats(allow_nan=False, allow_infinity=False))
    def test_numbers_stay_text(self, number: float) -> None:
        text = json.dumps(number)
        assert parse_object(b'{"n":' + text.encode() + b"}") == {"n": JsonNumber(text)}

    def test_numbers_beyond_any_float_stay_text(self) -> None:
        assert parse_object(b'{"n":1e400}') == {"n": JsonNumber("1e400")}

    def test_a_long_integer_is_not_converted(self) -> None:
        digits = "9" * 200_000
        assert parse_object(b'{"n":' + digits.encode() + b"}") == {"n": JsonNumber(digits)}

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "json_invalid"),
            (b" ", "json_invalid"),
            (b"{", "json_invalid"),
            (b"{}x", "json_invalid"),
            (b"{'a':'b'}", "json_invalid"),
            (b'{"a":"b",}', "json_invalid"),
            (b'{"a":NaN}', "json_invalid"),
            (b'{"a":Infinity}', "json_invalid"),
            (b'{"a":-Infinity}', "json_invalid"),
            (b'{"a":01}', "json_invalid"),
            (b'{"a":"\n"}', "json_invalid"),
            (b'{"a":"\x00"}', "json_invalid"),
            (b'{"a":"\\x41"}', "json_invalid"),
            (b'{"a":"\xff"}', "json_invalid"),
            (b'{"a":"\xed\xa0\x80"}', "json_invalid"),
            (b'\xef\xbb\xbf{"a":"b"}', "json_invalid"),
            ('{"a":"b"}'.encode("utf-16"), "json_invalid"),
            (b'{"a":"b","a":"b"}', "json_duplicate_key"),
            (b'{"a":"b","\\u0061":"c"}', "json_duplicate_key"),
            (b'{"m":{"a":"b","a":"c"}}', "json_duplicate_key"),
            (b'{"a":"\\u0000"}', "json_text_unstorable"),
            (b'{"\\u0000":"a"}', "json_text_unstorable"),
            (b'{"a":"\\ud800"}', "json_text_unstorable"),
            (b'{"a":["\\udc00\\ud800"]}', "json_text_unstorable"),
        ],
    )
    def test_invalid_or_unstorable_json_is_a_400(self, body: bytes, code: str) -> None:
        assert refusal(body) == (400, code)

    @pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"1.5", b"null", b"true"])
    def test_any_other_value_is_a_422(self, body: bytes) -> None:
        assert refusal(body) == (422, "json_not_an_object")

    def test_a_surrogate_pair_is_one_character(self) -> None:
        assert parse_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}

    def test_nesting_is_bounded(self) -> None:
        assert parse_object(nested(NESTING_MAX))["a"] != []
        assert refusal(nested(NESTING_MAX + 1)) == (400, "json_too_deep")
        assert refusal(b"[" * 100_000) == (400, "json_too_deep")

    def test_brackets_inside_strings_do_not_count_as_nesting(self) -> None:
        text = '[{"' * 50
        assert parse_object(json.dumps({"a": text}).encode()) == {"a": text}

    def test_size_is_bounded(self) -> None:
        filler = b"x" * (BODY_BYTES_MAX - len(b'{"a":""}'))
        assert parse_object(b'{"a":"' + filler + b'"}') == {"a": filler.decode()}
        assert refusal(b'{"a":"' + filler + b'x"}') == (413, "body_too_large")

    @pytest.mark.parametrize("unit", [b'\\"', b'"', b"[", b'{"', b"\\", b'"\\'])
    def test_no_body_takes_more_than_one_pass(self, unit: bytes) -> None:
        body = b"[" * 40 + b'"' + unit * (BODY_BYTES_MAX // len(unit))
        started_at = time.perf_counter()
        assert refusal(body[:BODY_BYTES_MAX])[0] == 400
        # Milliseconds are usual. A scan that restarts at every quote takes minutes.
        assert time.perf_counter() - started_at < 30


class TestCheckContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            'application/json;charset="UTF-8"',
        ],
    )
    def test_json_in_utf8_is_accepted(self, content_type: str | None) -> None:
        check_content_type(content_type)

    @pytest.mark.parametrize(
        "content_type",
        ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/xml"],
    )
    def test_anything_else_is_a_415(self, content_type: str) -> None:
        with pytest.raises(Problem) as caught:
            check_content_type(content_type)
        assert (caught.value.status, caught.value.code) == (415, "content_type_unsupported")

    def test_a_compressed_body_is_a_415(self) -> None:
        check_content_type("application/json", "identity")
        with pytest.raises(Problem, match="content encoding"):
            check_content_type("application/json", "gzip")


class TestFingerprint:
    @given(members=st.dictionaries(TEXT, VALUES, max_size=5), data=st.data())
    def test_is_of_the_members_whatever_their_order(self, members: dict[str, Any], data: st.DataObject) -> None:
        shuffled = dict(data.draw(st.permutations(list(members.items()))))
        assert fingerprint(shuffled) == fingerprint(members)
        assert fingerprint({**members, "absent": None}) == fingerprint(members)
        assert fingerprint({**members, "other": "value"}) != fingerprint(members) or members.get("other") == "value"

    @pytest.mark.parametrize(
        "other", [b"{}", b'{"a":"2"}', b'{"a":1}', b'{"b":"1"}', b'{"a":["1"]}', b'{"a":"1","m":{"n":null}}']
    )
    def test_differs_for_other_values(self, other: bytes) -> None:
        assert fingerprint(parse_object(other)) != fingerprint(parse_object(b'{"a":"1"}'))

    def test_numbers_are_what_was_written(self) -> None:
        one, other = (fingerprint(parse_object(body)) for body in (b'{"a": 1.0}', b'{"a": 1.00}'))
        assert one != other
