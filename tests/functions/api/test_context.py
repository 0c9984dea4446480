"""The correlation id of a request."""

from __future__ import annotations

import pytest

from api.context import choose_correlation_id
from paybridge.core.ids import Uuid7Ids


class TestChooseCorrelationId:
    @pytest.mark.parametrize("name", [b"x-correlation-id", b"x-request-id"])
    def test_a_safe_id_of_the_caller_is_kept(self, name: bytes) -> None:
        assert choose_correlation_id([(name, b"order-42.a:b")], Uuid7Ids()) == "order-42.a:b"

    def test_the_correlation_id_wins_over_the_request_id(self) -> None:
        assert choose_correlation_id([(b"x-request-id", b"r"), (b"x-correlation-id", b"c")], Uuid7Ids()) == "c"

    @pytest.mark.parametrize("value", [b"", b"a b", b"a\nb", b"x" * 129, "ключ".encode(), b"4111111111111111", b"<x>"])
    def test_anything_else_is_replaced(self, value: bytes) -> None:
        made = choose_correlation_id([(b"x-correlation-id", value)], Uuid7Ids())
        assert made.encode() != value
        assert len(made) == 36
