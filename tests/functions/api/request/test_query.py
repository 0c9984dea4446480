"""The raw query string."""

from __future__ import annotations

import pytest

from api.problems import Problem
from api.request.query import check_query_string


class TestCheckQueryString:
    @pytest.mark.parametrize("raw", [b"", b"&&", b"a=1&b=1", b"a=%D0%BA", b"a=&b"])
    def test_accepts_text_with_each_parameter_once(self, raw: bytes) -> None:
        check_query_string(raw)

    @pytest.mark.parametrize("raw", [b"a=%FF", b"%FF=1", b"a=%ED%A0%80", b"a=\xc3\xa9"])
    def test_bytes_that_are_not_text_are_a_400(self, raw: bytes) -> None:
        with pytest.raises(Problem) as caught:
            check_query_string(raw)
        assert (caught.value.status, caught.value.code) == (400, "query_malformed")

    def test_a_name_of_the_callers_own_is_not_repeated(self) -> None:
        with pytest.raises(Problem) as caught:
            check_query_string(b"4242424242424242=1&4242424242424242=2&limit=1&limit=1")
        assert [error.field for error in caught.value.errors] == ["?", "limit"]

    def test_names_every_repeated_parameter(self) -> None:
        with pytest.raises(Problem) as caught:
            check_query_string(b"b=1&a=1&b=2&a=1&c=")
        assert caught.value.status == 422
        assert [(error.field, error.code) for error in caught.value.errors] == [("a", "repeated"), ("b", "repeated")]
